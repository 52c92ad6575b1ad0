import type {
  ApplyOp,
  ApplyResult,
  CapturedSnapshot,
  CommittedEntry,
  GroupId,
  ProposalOrigin,
} from "../../shards/ports.ts";
import { LogIndex } from "../../shards/raft/types.ts";
import type { RegisterInput, RegisterOutput } from "../linearizability/register.ts";
import type { SimProcess } from "./process.ts";
import { MemorySnapshot, SNAPSHOT_FILE } from "./snapshot.ts";

/** What a client's entry carries. `attempt` tells repetitions of one operation apart, for the checks only. */
export interface KvCommand {
  readonly group: GroupId;
  readonly by: ProposalOrigin;
  readonly attempt: number;
  readonly key: string;
  readonly input: RegisterInput;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

export function encodeCommand(command: KvCommand): Uint8Array {
  return encoder.encode(JSON.stringify(command));
}

export function decodeCommand(data: Uint8Array): KvCommand {
  return JSON.parse(decoder.decode(data)) as KvCommand;
}

/** The state at one applied index; never changed, only replaced. */
interface KvState {
  readonly applied: number;
  readonly values: ReadonlyMap<string, string>;
  /** The last sequence of each origin and what it was answered: repetitions get the same answer. */
  readonly answers: ReadonlyMap<string, { readonly sequence: number; readonly output: RegisterOutput }>;
}

const EMPTY: KvState = { applied: 0, values: new Map(), answers: new Map() };

/** What outlives a process: the state as of the last write to the page cache, and of the last fsync. */
export class KvFile {
  cached: KvState = EMPTY;
  synced: KvState = EMPTY;

  /** `power`: the whole machine stopped, so what was only cached is gone. */
  crash(options: { readonly power: boolean }): void {
    if (options.power) this.cached = this.synced;
  }
}

export interface KvMachineParts {
  readonly group: GroupId;
  readonly file: KvFile;
  readonly process: SimProcess;
  /** Microseconds the next apply call takes, or the fault it ends with. */
  readonly applyFate: () => { readonly afterUs: number; readonly fails: boolean };
  readonly applies: (entry: CommittedEntry) => void;
  readonly restores: (index: LogIndex) => void;
}

/** Bytes read from a snapshot at a time, and how long that takes: a restore is long enough to crash in. */
const RESTORE_CHUNK_BYTES = 256;
const RESTORE_CHUNK_US = 300;
const CHECKPOINT_US = 700;
/** Applied entries after which the page cache is written out by itself. */
const SYNC_EVERY = 32;

/** The key-value state machine behind the seam: deterministic, at most once, with snapshots. */
export class KvMachine implements ApplyOp {
  readonly #parts: KvMachineParts;

  constructor(parts: KvMachineParts) {
    this.#parts = parts;
  }

  /** What an eventual read sees. */
  get(key: string): string | null {
    return this.#parts.file.cached.values.get(key) ?? null;
  }

  async appliedIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#parts.file.cached.applied));
  }

  async durableIndex(): Promise<LogIndex> {
    return Promise.resolve(LogIndex(this.#parts.file.synced.applied));
  }

  async apply(entries: readonly CommittedEntry[]): Promise<readonly ApplyResult[]> {
    const { process, file } = this.#parts;
    const fate = this.#parts.applyFate();
    await process.sleep(fate.afterUs);
    if (fate.fails) throw new Error(`group ${this.#parts.group}: the state machine's disk failed`);
    const results = entries.map((entry) => this.#applyOne(entry));
    if (file.cached.applied - file.synced.applied >= SYNC_EVERY) file.synced = file.cached;
    return results;
  }

  async checkpoint(): Promise<LogIndex> {
    const { process, file } = this.#parts;
    const state = file.cached;
    await process.sleep(CHECKPOINT_US);
    if (state.applied > file.synced.applied) file.synced = state;
    return LogIndex(file.synced.applied);
  }

  async capture(): Promise<CapturedSnapshot> {
    const { applied, values, answers } = this.#parts.file.cached;
    const text = JSON.stringify({ applied, values: [...values], answers: [...answers] });
    return Promise.resolve(new MemorySnapshot(LogIndex(applied), encoder.encode(text)));
  }

  async restore(snapshot: CapturedSnapshot): Promise<void> {
    const { process, file } = this.#parts;
    const length = snapshot.files.find(({ name }) => name === SNAPSHOT_FILE)?.bytes ?? 0;
    let text = "";
    for (let offset = 0; offset < length; offset += RESTORE_CHUNK_BYTES) {
      text += decoder.decode(await snapshot.read(SNAPSHOT_FILE, offset, RESTORE_CHUNK_BYTES));
      await process.sleep(RESTORE_CHUNK_US);
    }
    const found = JSON.parse(text) as {
      applied: number;
      values: [string, string][];
      answers: [string, { sequence: number; output: RegisterOutput }][];
    };
    file.cached = { applied: found.applied, values: new Map(found.values), answers: new Map(found.answers) };
    file.synced = file.cached;
    this.#parts.restores(LogIndex(found.applied));
  }

  /** Equal on replicas that applied the same. */
  digest(): string {
    const { applied, values } = this.#parts.file.cached;
    return `${applied}:${[...values].sort().join(";")}`;
  }

  #applyOne(entry: CommittedEntry): ApplyResult {
    const { file } = this.#parts;
    const state = file.cached;
    if (entry.index <= state.applied) return null;
    this.#parts.applies(entry);
    if (entry.data.length === 0) {
      file.cached = { ...state, applied: entry.index };
      return null;
    }
    const { by, key, input } = decodeCommand(entry.data);
    const earlier = state.answers.get(by.origin);
    if (earlier !== undefined && earlier.sequence >= by.sequence) {
      file.cached = { ...state, applied: entry.index };
      return earlier.sequence === by.sequence ? earlier.output : null;
    }
    const current = state.values.get(key) ?? null;
    const { next, output } = execute(input, current);
    const values = new Map(state.values);
    if (next === null) values.delete(key);
    else values.set(key, next);
    const answers = new Map(state.answers).set(by.origin, { sequence: by.sequence, output });
    file.cached = { applied: entry.index, values, answers };
    return output;
  }
}

function execute(
  input: RegisterInput,
  current: string | null,
): { readonly next: string | null; readonly output: RegisterOutput } {
  switch (input.kind) {
    case "read":
      return { next: current, output: { kind: "value", value: current } };
    case "write":
      return { next: input.value, output: { kind: "done" } };
    case "delete":
      return { next: null, output: { kind: "deleted", existed: current !== null } };
    case "compareAndSet": {
      const swapped = current === input.expected;
      return { next: swapped ? input.value : current, output: { kind: "swapped", swapped } };
    }
  }
}
