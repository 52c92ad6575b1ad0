import type { GroupId, GroupMessage } from "../ports.ts";
import { sizeOfMessage } from "./codec.ts";

/**
 * Bytes from which on an append counts as bulk: a follower that catches up is sent nothing else, and small writes never
 * come to it.
 */
export const BULK_APPEND_BYTES = 256 * 1024;
/** How long a group's further appends stay behind the last one of these: nothing overtakes it on the other stream. */
const STAY_MS = 1_000;

export interface Sorted {
  /** Heartbeats, votes, answers, reads, and small entries. */
  readonly prompt: readonly GroupMessage[];
  readonly bulk: readonly GroupMessage[];
}

/**
 * Which of one peer's messages go by the stream for bulk, in their order: large appends, and all appends of the same
 * group for a while. An append that overtakes another all the same is refused by the follower and sent again.
 */
export class EntryLane {
  readonly #nowMs: () => number;
  readonly #staysUntil = new Map<GroupId, number>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** `isBusy`: something still waits to leave on that stream. */
  sort(messages: readonly GroupMessage[], isBusy: boolean): Sorted {
    const nowMs = this.#nowMs();
    const [prompt, bulk]: [GroupMessage[], GroupMessage[]] = [[], []];
    for (const message of messages) (this.#isBulk(message, nowMs, isBusy) ? bulk : prompt).push(message);
    return { prompt, bulk };
  }

  #isBulk(message: GroupMessage, nowMs: number, isBusy: boolean): boolean {
    if (message.message.kind !== "append") return false;
    const { group } = message;
    const until = this.#staysUntil.get(group);
    if (sizeOfMessage(message) < BULK_APPEND_BYTES) {
      if (until === undefined) return false;
      if (isBusy || nowMs < until) return true;
      this.#staysUntil.delete(group);
      return false;
    }
    this.#staysUntil.set(group, nowMs + STAY_MS);
    return true;
  }
}
