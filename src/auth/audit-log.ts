/**
 * Who did what: one JSON line per change, refusal and failed login. A line is with the operating system before its
 * request is answered. What cannot be written waits in memory, in order, and is tried again with every line.
 */
import { RotatingFile, type RotatingOptions, type WriteBytes } from "./rotating-file.ts";

export interface AuditEntry {
  /** Id of the request, as in the log. */
  readonly request: string;
  readonly actor: string;
  /** key, token, none or refused. */
  readonly credential: string;
  readonly action: string;
  /** Method and pattern of the route. */
  readonly operation: string;
  /** What the path names: collection, shard, node. */
  readonly target: Readonly<Record<string, string | undefined>>;
  /** refused: nothing was attempted. unknown: it may still happen. */
  readonly outcome: "done" | "failed" | "refused" | "unknown";
  readonly status: number;
  readonly code: string | null;
  /** `shard=log index` of what was written, or of what may still happen. */
  readonly index: string | null;
  /** Why it did not happen, as the client was told. */
  readonly why: string | null;
  readonly remote: string;
}

export interface AuditOptions extends RotatingOptions {
  /** Refusals written per second; more are counted in one line. */
  readonly refusalsPerSecond: number;
}

export interface AuditParts {
  readonly nowMs: () => number;
  /** Writing began to fail, or works again (null); once each. */
  changed(failure: Error | null): void;
  readonly write?: WriteBytes;
}

/** Lines that wait for the disk; of more, the newest are lost and counted. */
const WAITING_MAX = 4_096;

export class AuditLog implements Disposable {
  readonly #options: AuditOptions;
  readonly #parts: AuditParts;
  readonly #file: RotatingFile;
  readonly #waiting: Buffer[] = [];
  #offset = 0;
  #failure: Error | null = null;
  #lost = 0;
  #second = 0;
  #refusals = 0;
  #suppressed = 0;

  /** Throws the system's error when the file cannot be opened: a wrong path should show at the start. */
  constructor(options: AuditOptions, parts: AuditParts) {
    this.#options = options;
    this.#parts = parts;
    this.#file = new RotatingFile(options, parts.write === undefined ? {} : { write: parts.write });
    this.#file.open();
  }

  /** Why the last attempt to write failed; null: it did not. */
  get failure(): Error | null {
    return this.#failure;
  }
  /** Lines that were dropped because too many waited for the disk. */
  get lost(): number {
    return this.#lost;
  }
  get waiting(): number {
    return this.#waiting.length;
  }

  /** Never throws: whether it could be written is in {@link failure}. */
  record(entry: AuditEntry): void {
    const nowMs = this.#parts.nowMs();
    this.#turnSecond(nowMs);
    if (entry.outcome === "refused" && ++this.#refusals > this.#options.refusalsPerSecond) {
      this.#suppressed++;
      return;
    }
    this.#add({ time: new Date(nowMs).toISOString(), ...entry });
    this.retry();
  }

  /** Tries to write what waits. */
  retry(): void {
    try {
      for (let line = this.#waiting[0]; line !== undefined; line = this.#waiting[0]) {
        this.#offset = this.#file.append(line, this.#offset);
        if (this.#offset < line.length) continue;
        this.#waiting.shift();
        this.#offset = 0;
      }
      this.#is(null);
    } catch (error) {
      this.#is(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #is(failure: Error | null): void {
    const differs = (failure === null) !== (this.#failure === null);
    this.#failure = failure;
    if (differs) this.#parts.changed(failure);
  }

  #add(line: object): void {
    if (this.#waiting.length >= WAITING_MAX) this.#lost++;
    else this.#waiting.push(Buffer.from(`${JSON.stringify(line)}\n`));
  }

  #turnSecond(nowMs: number): void {
    const second = Math.floor(nowMs / 1000);
    if (second === this.#second) return;
    this.#second = second;
    this.#refusals = 0;
    if (this.#suppressed === 0) return;
    const count = this.#suppressed;
    this.#suppressed = 0;
    this.#add({ time: new Date(nowMs).toISOString(), outcome: "refused", suppressed: count });
  }

  [Symbol.dispose](): void {
    // What the last second left out is said now: no later line will.
    this.#turnSecond(this.#parts.nowMs() + 1_000);
    this.retry();
    this.#file[Symbol.dispose]();
  }
}
