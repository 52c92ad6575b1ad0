/** Concurrent clients over REST whose operations become a history that the linearizability checker can judge. */
import type { KeyedOperation, RegisterInput, RegisterOutput } from "../../../linearizability/register.ts";
import { oneOf, type Dice } from "./dice.ts";

/** A point that is not there. A value like others, since a delete does not tell whether there was something. */
const ABSENT = "absent";
const REQUEST_SECONDS = 3;
/** A node that stands still answers nothing; a client that waited for it would see no faults. */
const PATIENCE_MS = 6_000;
/** Errors that promise that nothing was changed (the table of errors says so): such operations did not happen. */
const WITHOUT_EFFECT = ["NO_LEADER", "NOT_READY", "OVERLOADED", "DEADLINE_EXCEEDED", "SHARD_FAILED"];

interface Told {
  readonly status: number;
  readonly code: string | null;
  readonly result: unknown;
  readonly index: string | null;
}
interface Seen {
  readonly value: string;
  readonly version: number;
}

export interface HistoryOptions {
  readonly collection: string;
  readonly keys: number;
  readonly clients: number;
  readonly dice: Dice;
  /** Where nodes are now; a client asks any of them. */
  readonly urls: () => readonly string[];
}

/** Runs until it is stopped; then `operations` is the whole history and `complaints` what no fault excuses. */
export class History {
  readonly operations: KeyedOperation[] = [];
  readonly complaints: string[] = [];
  readonly counts = { done: 0, refused: 0, unknown: 0, sessionReads: 0 };
  readonly #options: HistoryOptions;
  #clock = 0;
  #values = 0;
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(options: HistoryOptions) {
    this.#options = options;
    for (let key = 1; key <= options.keys; key++) {
      const returned = { at: ++this.#clock, output: { kind: "done" } } as const;
      this.#add(key, { kind: "write", value: ABSENT }, this.#clock, returned);
    }
  }

  start(): this {
    const clients = Array.from({ length: this.#options.clients }, (_, at) => this.#client(at));
    this.#running = Promise.all(clients);
    return this;
  }
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  async #client(at: number): Promise<void> {
    const { dice, keys } = this.#options;
    /** What this client last saw of each key: what it compares with. */
    const seen = new Map<number, Seen>();
    const own = new OwnKey(keys + 1 + at);
    while (!this.#stopped) {
      const key = 1 + dice(keys);
      const draw = dice(100);
      if (draw < 35) await this.#read(key, seen);
      else if (draw < 55) await this.#write(key);
      else if (draw < 75) await this.#compareAndSet(key, seen.get(key));
      else if (draw < 85) await this.#remove(key);
      else if (draw < 93) await this.#writeOwn(own);
      else await this.#readOwn(own);
    }
  }

  async #read(key: number, seen: Map<number, Seen>): Promise<void> {
    const called = ++this.#clock;
    const told = await this.#ask("POST", "points", "consistency=linearizable", {
      ids: [key],
      with_payload: true,
    });
    if (told?.status !== 200) return this.#failed(told, "a read");
    const now = seenOf(told.result);
    seen.set(key, now);
    this.#ended(key, { kind: "read" }, called, { kind: "value", value: now.value });
  }

  async #write(key: number): Promise<void> {
    const called = ++this.#clock;
    const value = `v${++this.#values}`;
    this.#written(key, { kind: "write", value }, called, await this.#put(key, value), { kind: "done" });
  }

  async #compareAndSet(key: number, seen: Seen | undefined): Promise<void> {
    if (seen === undefined) return;
    const called = ++this.#clock;
    const value = `c${++this.#values}`;
    const input = { kind: "compareAndSet", expected: seen.value, value } as const;
    const told = await this.#put(key, value, { if_version: seen.version });
    if (told?.status === 412) this.#ended(key, input, called, { kind: "swapped", swapped: false });
    else this.#written(key, input, called, told, { kind: "swapped", swapped: true });
  }

  async #remove(key: number): Promise<void> {
    const called = ++this.#clock;
    const told = await this.#ask("POST", "points/delete", "wait=true", { points: [key] });
    this.#written(key, { kind: "write", value: ABSENT }, called, told, { kind: "done" });
  }

  /** Nobody else writes this key: what a session may read of it is known without a search. */
  async #writeOwn(own: OwnKey): Promise<void> {
    const value = `o${++this.#values}`;
    const told = await this.#put(own.id, value);
    if (told?.status === 200) own.acknowledged(value, told.index ?? "");
    else if (told === null || this.#isUnknown(told)) own.open.add(value);
    else this.#failed(told, "a write");
  }
  async #readOwn(own: OwnKey): Promise<void> {
    const told = await this.#ask(
      "POST",
      "points",
      "consistency=session",
      { ids: [own.id], with_payload: true },
      own.index === "" ? {} : { "x-flotilla-index": own.index },
    );
    if (told?.status !== 200) return this.#failed(told, "a session read");
    this.counts.sessionReads++;
    const { value } = seenOf(told.result);
    if (value !== own.value && !own.open.has(value))
      this.complaints.push(`a session that wrote ${own.value} at ${own.index} read ${value} of ${own.id}`);
  }

  #written(
    key: number,
    input: RegisterInput,
    called: number,
    told: Told | null,
    output: RegisterOutput,
  ): void {
    if (told?.status === 200) return this.#ended(key, input, called, output);
    if (told !== null && !this.#isUnknown(told)) return this.#failed(told, `a ${input.kind}`);
    this.counts.unknown++;
    this.#add(key, input, called, null);
  }
  #isUnknown(told: Told): boolean {
    return told.code === "OUTCOME_UNKNOWN";
  }
  #ended(key: number, input: RegisterInput, called: number, output: RegisterOutput): void {
    this.counts.done++;
    this.#add(key, input, called, { at: ++this.#clock, output });
  }
  #failed(told: Told | null, what: string): void {
    this.counts.refused++;
    if (told === null || WITHOUT_EFFECT.includes(told.code ?? "")) return;
    this.complaints.push(`${what} was answered ${told.status} ${told.code}`);
  }
  #add(
    key: number,
    input: RegisterInput,
    called: number,
    returned: { readonly at: number; readonly output: RegisterOutput } | null,
  ): void {
    this.operations.push({ id: this.operations.length, key: String(key), input, called, returned });
  }

  async #put(key: number, value: string, more: object = {}): Promise<Told | null> {
    const point = { id: key, vector: [key, this.#values % 13, 1, 1], payload: { value } };
    return await this.#ask("PUT", "points", "wait=true", { points: [point], ...more });
  }

  /** null: no answer; a request that could not even be sent is answered as if by a node without a leader. */
  async #ask(
    method: string,
    path: string,
    query: string,
    body: object,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Told | null> {
    const url = oneOf(this.#options.dice, this.#options.urls());
    try {
      const response = await fetch(
        `${url}/collections/${this.#options.collection}/${path}?${query}&timeout=${REQUEST_SECONDS}`,
        {
          method,
          headers: { "content-type": "application/json", ...headers },
          body: JSON.stringify(body),
          signal: AbortSignal.timeout(PATIENCE_MS),
        },
      );
      const told = (await response.json()) as { result?: unknown; status: { readonly code?: string } | "ok" };
      return {
        status: response.status,
        code: told.status === "ok" ? null : (told.status.code ?? null),
        result: told.result,
        index: response.headers.get("x-flotilla-index"),
      };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      const refused = (error.cause as { readonly code?: string } | undefined)?.code === "ECONNREFUSED";
      return refused ? { status: 503, code: "NOT_READY", result: null, index: null } : null;
    }
  }
}

/** What one client knows of the key that only it writes. */
class OwnKey {
  readonly id: number;
  value = ABSENT;
  index = "";
  /** Written without an answer: may be there, or come yet. */
  readonly open = new Set<string>();

  constructor(id: number) {
    this.id = id;
  }
  acknowledged(value: string, index: string): void {
    this.value = value;
    this.index = index;
  }
}

function seenOf(result: unknown): Seen {
  const [point] = result as readonly {
    readonly payload: { readonly value: string };
    readonly version: number;
  }[];
  return point === undefined
    ? { value: ABSENT, version: 0 }
    : { value: point.payload.value, version: point.version };
}
