import type { HostLink } from "./host-link.ts";
import { changeOf } from "./membership.ts";
import type { Entry, GroupId, NodeId } from "./ports.ts";
import { Proposals } from "./proposals.ts";
import type { Pending, Proposed } from "./proposals.ts";
import type { RaftCore } from "./raft/core.ts";
import { invariant } from "./raft/invariant.ts";
import type { LogIndex } from "./raft/types.ts";
import type { MembershipStep, ProposalOutcome, ProposeOptions, WaitOptions } from "./surface.ts";
import { Patience } from "./waiting.ts";

const NO_DATA = new Uint8Array(0);

/**
 * Takes proposals from callers into the core, no faster than the state machine applies them.
 *
 * Small ones that come while others are being replicated are gathered until those are committed (as Nagle does with
 * small packets, RFC 896): every round costs each member a message, a disk write and a call of its state machine,
 * however much it carries. A tick ends the wait, so that a slow link costs no round trip (adr/0014).
 */
export class Proposer {
  readonly #link: HostLink;
  readonly #pending: Proposals;
  /** Bytes this leader proposed that are not applied yet. */
  #unappliedBytes = 0;
  /** The last entry proposed in this reign, and the last committed one. */
  #proposedTo = 0;
  #committedTo = 0;
  #waitedTick = false;

  constructor(group: GroupId, link: HostLink) {
    this.#link = link;
    this.#pending = new Proposals({
      countMax: link.limits.proposalsMax,
      bytesMax: link.limits.proposalBytesMax,
      nowMs: () => link.nowMs(),
      onEnd: ({ kind }, ms) => link.event({ kind: "proposalEnded", group, outcome: kind, ms }),
      onCommit: (ms) => link.event({ kind: "committed", group, ms }),
    });
  }

  /** Proposals without an outcome. */
  get count(): number {
    return this.#pending.count;
  }

  data(data: Uint8Array, options: ProposeOptions): Promise<ProposalOutcome> {
    if (data.length > this.#link.limits.entryBytesMax)
      return Promise.resolve({ kind: "dropped", why: "tooLarge" });
    return this.#add({ kind: "data", data, wait: options.wait ?? "applied" }, options);
  }

  membership(steps: readonly MembershipStep[], options: WaitOptions): Promise<ProposalOutcome> {
    return this.#add({ kind: "membership", change: changeOf(steps), data: NO_DATA }, options);
  }

  /** As many as there is room for; answers how many were dealt with. */
  pump(core: RaftCore, leader: NodeId | null): number {
    if (core.isLeader && this.#gathers()) return 0;
    let count = 0;
    while (this.#pending.waiting > 0 && count < this.#link.limits.turnInputsMax) {
      if (!core.isLeader) {
        this.#pending.refuseWaiting({ kind: "notLeader", leader });
        break;
      }
      const room = this.#link.limits.unappliedBytesMax - this.#unappliedBytes;
      const batch = this.#pending.next(Math.max(room, 1));
      const bytes = batch.reduce((sum, { proposed }) => sum + proposed.data.length, 0);
      // A single one always fits when nothing is on its way, or it would wait for ever.
      if (this.#unappliedBytes > 0 && bytes > room) break;
      this.#propose(core, batch, bytes);
      count += batch.length;
    }
    return count;
  }

  /** True when that lets go of proposals that waited. */
  committed(entries: readonly Entry[]): boolean {
    for (const entry of entries) this.#pending.committed(entry);
    this.#committedTo = Math.max(this.#committedTo, entries.at(-1)?.index ?? 0);
    return this.#pending.waiting > 0 && !this.#isRoundUnderWay;
  }

  applied(entry: Entry, result: unknown, isOfThisReign: boolean): void {
    if (isOfThisReign) this.#unappliedBytes = Math.max(0, this.#unappliedBytes - entry.data.length);
    this.#pending.applied(entry, result);
  }

  skippedTo(index: LogIndex): void {
    this.#pending.skippedTo(index);
  }

  roleChanged(change: "won" | "lost" | "none", leader: NodeId | null): void {
    this.#unappliedBytes = 0;
    this.#proposedTo = 0;
    if (change === "won") this.#pending.leadershipWon();
    else if (change === "lost")
      this.#pending.leadershipLost(leader, this.#link.tick + this.#link.limits.settleTicks);
  }

  /** True when proposals waited long enough. */
  tick(): boolean {
    this.#pending.tick(this.#link.tick);
    this.#waitedTick = this.#pending.waiting > 0;
    return this.#waitedTick;
  }

  stop(why: string): void {
    this.#pending.stop(why);
  }

  get #isRoundUnderWay(): boolean {
    return this.#proposedTo > this.#committedTo;
  }

  #gathers(): boolean {
    const { gatherBytes } = this.#link.limits;
    return this.#isRoundUnderWay && !this.#waitedTick && !this.#pending.fills(gatherBytes);
  }

  #add(proposed: Proposed, options: WaitOptions): Promise<ProposalOutcome> {
    return this.#pending.add(
      proposed,
      new Patience(options, { tick: this.#link.tick, tickMs: this.#link.limits.tickMs }),
    );
  }

  #propose(core: RaftCore, batch: readonly Pending[], bytes: number): void {
    const first = batch[0]?.proposed;
    invariant(first !== undefined, "what waits is in a batch");
    const answer =
      first.kind === "membership"
        ? core.proposeConfChange(first.change)
        : core.propose(batch.map(({ proposed }) => proposed.data));
    if (answer.kind !== "accepted")
      return this.#pending.refused(batch, { kind: "dropped", why: "refusedByCore" });
    this.#pending.entered(batch, answer.first, answer.term);
    this.#proposedTo = answer.first + batch.length - 1;
    this.#waitedTick = false;
    this.#unappliedBytes += bytes;
  }
}
