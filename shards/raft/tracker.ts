/** The configuration in force, what is known about each member, and the votes of a running election. */
import { before, higher, ZERO } from "./index-math.ts";
import { EMPTY_CONF, isJoint, membersOf } from "./changer.ts";
import { Progress, type ProgressLimits } from "./progress.ts";
import { jointIndex, jointVote, type VoteResult } from "./quorum.ts";
import type { ConfState, LogIndex, NodeId } from "./types.ts";

export class Tracker {
  readonly #limits: ProgressLimits;
  #conf: ConfState = EMPTY_CONF;
  /** Sorted by id: peers are always visited in this order. */
  #members: readonly Progress[] = [];
  readonly #byId = new Map<NodeId, Progress>();
  readonly #votes = new Map<NodeId, boolean>();
  // Made once: these are passed to the quorum for every acknowledgement.
  readonly #matchOf = (id: NodeId): number | undefined => this.#byId.get(id)?.match;
  readonly #voteOf = (id: NodeId): boolean | undefined => this.#votes.get(id);
  readonly #isActive = (id: NodeId): boolean => this.#byId.get(id)?.recentlyActive ?? false;

  constructor(limits: ProgressLimits) {
    this.#limits = limits;
  }

  get conf(): ConfState {
    return this.#conf;
  }
  get members(): readonly Progress[] {
    return this.#members;
  }

  get(id: NodeId): Progress | undefined {
    return this.#byId.get(id);
  }

  /** Members that stay keep what is known about them; a new one is probed from the end of the log. */
  reconfigure(conf: ConfState, lastIndex: LogIndex): void {
    const members: Progress[] = [];
    for (const id of membersOf(conf)) {
      const known = this.#byId.get(id);
      // A new member counts as active, or a check of the quorum right after would count it as dead.
      members.push(known ?? new Progress(id, higher(lastIndex, (ZERO + 1) as LogIndex), this.#limits));
    }
    this.#conf = conf;
    this.#members = members;
    this.#byId.clear();
    for (const member of members) this.#byId.set(member.id, member);
  }

  isVoter(id: NodeId): boolean {
    return this.#conf.voters.includes(id) || this.#conf.votersOutgoing.includes(id);
  }

  isLearner(id: NodeId): boolean {
    return this.#conf.learners.includes(id);
  }

  /** Voters of both halves, sorted. */
  voters(): readonly NodeId[] {
    if (!isJoint(this.#conf)) return this.#conf.voters;
    return this.#members.filter((member) => this.isVoter(member.id)).map((member) => member.id);
  }

  /** One voter, which needs nobody else. */
  isSingleton(): boolean {
    return this.#conf.voters.length === 1 && !isJoint(this.#conf);
  }

  /** What a quorum, both halves when joint, has made durable. */
  committedIndex(): number {
    return jointIndex(this.#conf.voters, this.#conf.votersOutgoing, this.#matchOf);
  }

  quorumOf(voteOf: (id: NodeId) => boolean | undefined): VoteResult {
    return jointVote(this.#conf.voters, this.#conf.votersOutgoing, voteOf);
  }

  isQuorumActive(): boolean {
    return this.quorumOf(this.#isActive) === "won";
  }

  resetVotes(): void {
    this.#votes.clear();
  }

  /** The first answer counts; a repeated one changes nothing. */
  recordVote(id: NodeId, granted: boolean): VoteResult {
    if (!this.#votes.has(id)) this.#votes.set(id, granted);
    return this.quorumOf(this.#voteOf);
  }

  voteOf(id: NodeId): boolean | undefined {
    return this.#votes.get(id);
  }

  /** A new reign: the leader is sure of its own log only. */
  restart(self: NodeId, lastIndex: LogIndex): void {
    const next = (lastIndex + 1) as LogIndex;
    for (const member of this.#members) member.restart(member.id === self ? before(next) : ZERO, next);
  }
}
