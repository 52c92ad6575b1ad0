import type { CapturedSnapshot, Message, SnapshotMeta } from "./ports.ts";
import { invariant } from "./raft/invariant.ts";

export type SnapshotMessage = Extract<Message, { kind: "snapshot" }>;

interface Staged {
  readonly message: SnapshotMessage;
  readonly snapshot: CapturedSnapshot;
}

/** Received snapshots from their arrival until the core wants them or does not. */
export class Staging {
  #staged: Staged[] = [];

  get isEmpty(): boolean {
    return this.#staged.length === 0;
  }

  add(message: SnapshotMessage, snapshot: CapturedSnapshot): void {
    this.#staged.push({ message, snapshot });
  }

  /** The bytes of the snapshot the core decided to install. */
  claim(meta: SnapshotMeta): CapturedSnapshot {
    const at = this.#staged.findIndex(({ message }) => message.meta.index === meta.index);
    const [found] = at < 0 ? [] : this.#staged.splice(at, 1);
    invariant(found !== undefined, () => `the bytes of the snapshot at ${meta.index} are here`);
    return found.snapshot;
  }

  /** Those whose message the core has seen and did not want. */
  unwanted(isWaiting: (message: SnapshotMessage) => boolean): readonly CapturedSnapshot[] {
    if (this.#staged.length === 0) return [];
    const unwanted = this.#staged.filter(({ message }) => !isWaiting(message));
    this.#staged = this.#staged.filter(({ message }) => isWaiting(message));
    return unwanted.map(({ snapshot }) => snapshot);
  }
}
