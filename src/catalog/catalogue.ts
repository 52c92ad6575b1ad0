import { createHash } from "node:crypto";
import { LogIndex, type ApplyOp, type CapturedSnapshot, type CommittedEntry } from "../../shards/index.ts";
import { formatCatalogue, parseCatalogue, readCatalogue, writeCatalogue } from "./file.ts";
import { CatalogueState } from "./state.ts";
import type { CatalogueCollection, CatalogueNode, CatalogueOutcome, CatalogueSnapshot } from "./types.ts";

const SNAPSHOT_FILE = "catalogue.json";

/**
 * Group 0's state machine with its file. Every entry that says something is on disk before its result is given, so
 * that after a restart the file is at most a few empty entries behind the log.
 */
export class Catalogue implements ApplyOp {
  readonly #path: string;
  readonly #listeners = new Set<() => void>();
  #state: CatalogueState;
  #durable: number;

  private constructor(path: string, state: CatalogueState) {
    this.#path = path;
    this.#state = state;
    this.#durable = state.applied;
  }

  /** Reads the file, or begins empty. Throws CatalogueFileError when it cannot be trusted. */
  static open(path: string): Catalogue {
    return new Catalogue(path, new CatalogueState(readCatalogue(path) ?? undefined));
  }

  /** In order of name. */
  collections(): readonly CatalogueCollection[] {
    return this.#state.collections();
  }
  collection(name: string): CatalogueCollection | null {
    return this.#state.collection(name);
  }
  /** The collection of this name, or behind this alias. */
  resolve(name: string): CatalogueCollection | null {
    return this.#state.resolve(name);
  }
  /** In order of id. */
  nodes(): readonly CatalogueNode[] {
    return this.#state.nodes();
  }
  node(nodeId: number): CatalogueNode | null {
    return this.#state.node(nodeId);
  }
  /** In order of alias. */
  aliases(): CatalogueSnapshot["aliases"] {
    return this.#state.aliases();
  }
  get applied(): number {
    return this.#state.applied;
  }
  /** Calls back after each change; the returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async apply(entries: readonly CommittedEntry[]): Promise<readonly CatalogueOutcome[]> {
    const outcomes = entries.map(({ index, data }) => this.#state.apply(index, data));
    if (outcomes.some(({ kind }) => kind !== "nothing")) await this.#write();
    if (outcomes.some(({ kind }) => kind !== "nothing" && kind !== "rejected")) this.#tell();
    return outcomes;
  }

  appliedIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#state.applied));
  }
  durableIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#durable));
  }
  async checkpoint(): Promise<LogIndex> {
    if (this.#state.applied > this.#durable) await this.#write();
    return LogIndex(this.#durable);
  }

  /** The file's text at this moment: a catalogue is small enough to be held. */
  capture(): Promise<CapturedSnapshot> {
    const bytes = new TextEncoder().encode(formatCatalogue(this.#state.snapshot()));
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    return Promise.resolve({
      index: LogIndex(this.#state.applied),
      files: [{ name: SNAPSHOT_FILE, bytes: bytes.length, sha256 }],
      read: (_name: string, offset: number, length: number) =>
        Promise.resolve(bytes.subarray(offset, offset + length)),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  }

  async restore(snapshot: CapturedSnapshot): Promise<void> {
    const [file] = snapshot.files;
    const bytes = await snapshot.read(SNAPSHOT_FILE, 0, file?.bytes ?? 0);
    this.#state = new CatalogueState(parseCatalogue(new TextDecoder().decode(bytes), "the snapshot"));
    await this.#write();
    this.#tell();
  }

  async #write(): Promise<void> {
    const snapshot = this.#state.snapshot();
    await writeCatalogue(this.#path, snapshot);
    this.#durable = snapshot.applied;
  }

  #tell(): void {
    for (const listener of this.#listeners) listener();
  }
}
