/**
 * An `ApplyOp` on one thread, used from another: the consensus thread holds the {@link RemoteApplyOp}, the engine
 * thread (or the front, for group 0) answers with {@link applyHandlers}.
 */
import {
  LogIndex,
  Term,
  type ApplyOp,
  type ApplyResult,
  type CapturedSnapshot,
  type CommittedEntry,
} from "../../shards/index.ts";
import { OpenFiles } from "../engine/files.ts";
import type { ApplyContract, CapturedFiles, RestoreContract } from "./contracts.ts";
import { ESSENTIAL, type Contract, type Handlers, type Rpc } from "./rpc.ts";

type Asking = Pick<Rpc<Contract, ApplyContract>, "call">;

/** Snapshots of this side that the other side is reading. */
export class OpenCaptures {
  readonly #open = new Map<number, CapturedSnapshot>();
  #next = 1;

  add(snapshot: CapturedSnapshot): CapturedFiles {
    const capture = this.#next++;
    this.#open.set(capture, snapshot);
    const { index, files, directory, readableIn } = snapshot;
    return { capture, index, files, directory, readableIn };
  }
  async read(at: ApplyContract["readCaptured"]["request"]): Promise<Uint8Array> {
    const snapshot = this.#open.get(at.capture);
    if (snapshot === undefined) throw new RangeError(`snapshot ${at.capture} is not open`);
    return await snapshot.read(at.name, at.offset, at.length);
  }
  async release(capture: number): Promise<void> {
    const snapshot = this.#open.get(capture);
    this.#open.delete(capture);
    await snapshot?.[Symbol.asyncDispose]();
  }
}

export class RemoteApplyOp implements ApplyOp {
  readonly #group: number;
  readonly #holder: Asking;
  readonly #restores: OpenCaptures;

  /** `restores`: read by the holder through {@link RestoreContract} while it restores. */
  constructor(group: number, parts: { readonly holder: Asking; readonly restores: OpenCaptures }) {
    this.#group = group;
    this.#holder = parts.holder;
    this.#restores = parts.restores;
  }

  async apply(entries: readonly CommittedEntry[]): Promise<readonly ApplyResult[]> {
    const transfer: ArrayBufferLike[] = [];
    const wire = entries.map(({ term, index, data }) => {
      // The log keeps its bytes, and cloning a view would send all of the buffer it is cut from: one exact copy. What
      // came over the network is a Buffer, whose slice() is one more view.
      const own = new Uint8Array(data);
      transfer.push(own.buffer);
      return { term, index, data: own };
    });
    return await this.#holder.call(
      "apply",
      { group: this.#group, entries: wire },
      { ...ESSENTIAL, transfer },
    );
  }
  async appliedIndex(): Promise<LogIndex> {
    return LogIndex(await this.#holder.call("appliedIndex", { group: this.#group }, ESSENTIAL));
  }
  async durableIndex(): Promise<LogIndex> {
    return LogIndex(await this.#holder.call("durableIndex", { group: this.#group }, ESSENTIAL));
  }
  async checkpoint(): Promise<LogIndex> {
    return LogIndex(await this.#holder.call("checkpoint", { group: this.#group }, ESSENTIAL));
  }
  async capture(): Promise<CapturedSnapshot> {
    const { capture, index, files, readableIn } = await this.#holder.call(
      "capture",
      { group: this.#group },
      ESSENTIAL,
    );
    // Asked for each piece, a busy holder would be what a transfer waits for, and every piece would be copied twice.
    const open = readableIn === undefined ? null : new OpenFiles(readableIn);
    return {
      index: LogIndex(index),
      files,
      read: (name, offset, length, into) =>
        open?.read(name, offset, length, into) ??
        this.#holder.call("readCaptured", { capture, name, offset, length }, ESSENTIAL),
      [Symbol.asyncDispose]: async () => {
        await open?.close();
        await this.#holder.call("releaseCaptured", { capture }, ESSENTIAL);
      },
    };
  }
  async restore(snapshot: CapturedSnapshot): Promise<void> {
    // Lent, not given: the caller disposes of it.
    const lent = {
      ...snapshot,
      read: snapshot.read.bind(snapshot),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    const restore = this.#restores.add(lent);
    try {
      await this.#holder.call("restore", { group: this.#group, restore }, ESSENTIAL);
    } finally {
      await this.#restores.release(restore.capture);
    }
  }
}

/** Answers for all state machines of this thread; `of` throws when the group is not open here. */
export function applyHandlers(
  of: (group: number) => ApplyOp,
  asker: () => Pick<Rpc<Contract, RestoreContract>, "call">,
): Handlers<ApplyContract> {
  const captures = new OpenCaptures();
  return {
    apply: ({ group, entries }) =>
      of(group).apply(entries.map(({ term, index, data }) => committed(term, index, data))),
    appliedIndex: ({ group }) => of(group).appliedIndex(),
    durableIndex: ({ group }) => of(group).durableIndex(),
    checkpoint: ({ group }) => of(group).checkpoint(),
    capture: async ({ group }) => captures.add(await of(group).capture()),
    readCaptured: (at) => captures.read(at),
    releaseCaptured: ({ capture }) => captures.release(capture),
    restore: ({ group, restore }) =>
      of(group).restore({
        index: LogIndex(restore.index),
        files: restore.files,
        directory: restore.directory,
        read: (name, offset, length) =>
          asker().call("readRestored", { capture: restore.capture, name, offset, length }, ESSENTIAL),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
}

function committed(term: number, index: number, data: Uint8Array): CommittedEntry {
  return { term: Term(term), index: LogIndex(index), data };
}
