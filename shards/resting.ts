import type { HostLink } from "./host-link.ts";
import type { GroupId, LogIndex, Message, NodeId, Quiesce } from "./ports.ts";
import type { RaftCore } from "./raft/core.ts";
import type { Envelope } from "./raft/message.ts";
import { NOBODY } from "./raft/types.ts";

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

/**
 * The token of a follower that cannot rest though its leader does, or could again. No round of reads has it: theirs begin
 * with a number.
 */
const AWAKE = "awake";

/**
 * When one group stops ticking and when it goes on (adr/0012). The leader decides, once it and all members have had
 * nothing to do for a while, and says so in place of a heartbeat; a follower that is where the leader is follows.
 * Whatever happens to either wakes it.
 */
export class Resting {
  readonly #parts: RestingParts;
  /** Nothing has happened for so many ticks; on a follower, nor was anything heard. */
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
    if (!core.isLeader) {
      this.#remind();
      return false;
    }
    if (!isIdle() || !core.isSettledLeader()) {
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
    if (!this.#parts.core.isLeader) this.#idleTicks = 0;
    if (!this.#isStranger(message)) this.rouse();
    return message;
  }

  /**
   * A follower that something local woke hears nothing from a leader that rests, and a learner would go on ticking for
   * ever: it does not stand for election. Waking the leader lets both of them rest again. Not before one that is awake
   * would have been heard: a reminder that crosses its wish to rest would wake it, again and again.
   */
  #remind(): void {
    const { core, link, group, isIdle } = this.#parts;
    const { quiesceTicks, electionTicks } = link.limits;
    if (++this.#idleTicks < Math.max(quiesceTicks, 2 * electionTicks) || !isIdle()) return;
    this.#idleTicks = 0;
    const { term, leader: to } = core;
    if (to === NOBODY || !core.isMember(link.node)) return;
    link.send({ group, message: { kind: "heartbeatResponse", from: link.node, to, term, readToken: AWAKE } });
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
   * Who was removed and does not know it stands, or reminds, again and again. A known leader, for whom its node's beats
   * vouch, shields from that whether time is counted here or not.
   */
  #isStranger(message: Message): boolean {
    const { kind, from } = message;
    const mayComeAgain =
      kind === "heartbeatResponse" ||
      ((kind === "voteRequest" || kind === "preVoteRequest") && !message.transfer);
    return mayComeAgain && !this.#parts.core.isMember(from);
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
