import type { HostLink } from "./host-link.ts";
import type { GroupId, LogIndex, Message, NodeId, Quiesce } from "./ports.ts";
import type { RaftCore } from "./raft/core.ts";
import type { Envelope } from "./raft/message.ts";

/** What a peer's group, its core or its driver, has to say to this one. */
export type Inbound = Message | (Envelope & Quiesce);

export interface RestingParts {
  readonly group: GroupId;
  readonly link: HostLink;
  readonly core: RaftCore;
  /** Nothing here waits for anything, a tick least of all. */
  readonly isIdle: () => boolean;
  readonly members: () => readonly NodeId[];
}

/** The token of a follower that was told to rest and cannot. No round of reads has it: theirs begin with a number. */
const AWAKE = "awake";

/**
 * When one group stops ticking and when it goes on (adr/0012). The leader decides, once it and all members have had
 * nothing to do for a while, and says so in place of a heartbeat; a follower that is where the leader is follows.
 * Whatever happens to either wakes it.
 */
export class Resting {
  readonly #parts: RestingParts;
  /** Nothing has happened for so many ticks. */
  #idleTicks = 0;
  #isResting = false;

  constructor(parts: RestingParts) {
    this.#parts = parts;
  }

  get isResting(): boolean {
    return this.#isResting;
  }

  /** Something happens here: it is not the time to rest. */
  stir(): void {
    this.#idleTicks = 0;
    this.rouse();
  }

  /** Its timers go on as if they had never stood still. */
  rouse(): void {
    if (!this.#isResting) return;
    const { core, link, group } = this.#parts;
    this.#isResting = false;
    this.#idleTicks = 0;
    core.resume(core.isLeader ? 0 : link.silence(core.leader));
    link.stirs(group);
    link.wake(group);
  }

  /** True when this leader rests from now on, and needs no tick. */
  tick(): boolean {
    const { core, link, isIdle } = this.#parts;
    if (!core.isLeader || !isIdle() || !core.isSettledLeader()) {
      this.#idleTicks = 0;
      return false;
    }
    if (++this.#idleTicks < link.limits.quiesceTicks || !core.mayRestNow() || core.hasReady()) return false;
    this.#lead();
    return true;
  }

  /** What the core is to hear of a message; null: nothing. */
  hear(message: Inbound): Message | null {
    if (message.kind === "quiesce") return this.#follow(message);
    if (this.#isResting && this.#isEcho(message)) return null;
    if (!this.#isStranger(message)) this.rouse();
    return message;
  }

  #lead(): void {
    const { core, link, group, members } = this.#parts;
    const { node: from, epoch } = link;
    const { term, lastIndex } = core;
    const others = members().filter((member) => member !== from);
    this.#isResting = true;
    for (const to of others)
      link.send({ group, message: { kind: "quiesce", from, to, term, lastIndex, epoch } });
    link.rests(group, others, true);
  }

  /** Who cannot follow hears a heartbeat instead, and answers with a token that is no echo: that wakes the leader. */
  #follow({ from, to, term, lastIndex, epoch }: Envelope & Quiesce): Message | null {
    const { core, link, group, isIdle } = this.#parts;
    link.heard(from, epoch);
    if (isIdle() && core.followIntoRest(from, term, lastIndex)) {
      if (!this.#isResting) link.rests(group, [from], false);
      this.#isResting = true;
      return null;
    }
    this.rouse();
    return heartbeat({ from, to, term }, lastIndex);
  }

  /**
   * Who was removed and does not know it stands again and again. A known leader, for whom its node's beats vouch,
   * shields from that whether time is counted here or not.
   */
  #isStranger(message: Message): boolean {
    return (
      (message.kind === "voteRequest" || message.kind === "preVoteRequest") &&
      !message.transfer &&
      !this.#parts.core.isMember(message.from)
    );
  }

  /** A late answer to a heartbeat from before this leader rested: it asks for nothing. */
  #isEcho(message: Message): boolean {
    const { core } = this.#parts;
    return (
      message.kind === "heartbeatResponse" &&
      message.readToken === "" &&
      core.isLeader &&
      message.term === core.term
    );
  }
}

/** What a wish to rest is besides: its sender knows that this member holds everything up to `commit`. */
function heartbeat(envelope: Envelope, commit: LogIndex): Message {
  return { ...envelope, kind: "heartbeat", commit, readToken: AWAKE };
}
