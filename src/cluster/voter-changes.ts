/**
 * Replicas and leaders as an operator wants them. The wish goes into the catalogue, and the controller does the rest;
 * only taking a vote away is asked of the shard's leader from here, before the catalogue lets the replica go, because
 * a voter that destroyed its copy while it still counts could cost the shard its quorum.
 */
import type { GroupStatus, MembershipStep, ProposalOutcome } from "../../shards/index.ts";
import { NodeId } from "../../shards/index.ts";
import { ApiError, noShard } from "../api/errors.ts";
import type { CatalogueCollection, CatalogueNode, Placement } from "../catalog/types.ts";
import type { CommandPath } from "./command-path.ts";
import type { Leaders } from "./leaders.ts";
import type { TransferOutcome } from "./node-calls/contract.ts";
import { asApiError, fateOf, noLeader } from "./outcomes.ts";
import type { Consensus, Peers } from "./ports.ts";
import type { Roles } from "./roles.ts";
import type { CallOptions, VoterOptions } from "./types.ts";
import { leaderStatus, type Reports } from "./views.ts";

export interface VoterChangesParts {
  readonly nodeId: number;
  readonly commands: CommandPath;
  readonly consensus: Consensus;
  readonly peers: Peers;
  readonly leaders: Leaders;
  readonly roles: Roles;
  readonly survey: (signal: AbortSignal) => Promise<Reports>;
  readonly node: (nodeId: number) => CatalogueNode | null;
  /** As the catalogue has it now. */
  readonly collection: (name: string) => CatalogueCollection;
  readonly handOver: (group: number, to: number, signal: AbortSignal) => Promise<TransferOutcome>;
  readonly timeoutMs: number;
}

export class VoterChanges {
  readonly #parts: VoterChangesParts;

  constructor(parts: VoterChangesParts) {
    this.#parts = parts;
  }

  async add(name: string, shard: number, nodeId: number, options: VoterOptions): Promise<void> {
    const { wait, signal } = options;
    const placement = this.#placement(name, shard);
    const node = this.#parts.node(nodeId);
    if (node === null) throw invalid(`there is no node ${nodeId}`);
    if (node.state === "leaving") throw conflict(`node ${nodeId} is leaving the cluster`);
    const lead = await this.#lead(placement, signal);
    if (lead.conf.voters.some((voter) => voter === nodeId)) {
      throw conflict(`node ${nodeId} votes in shard ${shard} already`);
    }
    this.#checkSettled(placement, lead);
    const { group } = placement;
    const wanted = placement.replicas.length + 1;
    await this.#parts.commands.carryOut({ kind: "placeReplica", group, node: nodeId, wanted }, options);
    if (!wait) return;
    await this.#until(name, shard, signal, (status, { replicas }) => {
      if (votes(status, nodeId)) return true;
      if (replicas.some(({ node }) => node === nodeId)) return false;
      throw conflict(`the replica of shard ${shard} on node ${nodeId} was removed before it voted`);
    });
  }

  async remove(name: string, shard: number, nodeId: number, options: VoterOptions): Promise<void> {
    const { wait, signal } = options;
    const placement = this.#placement(name, shard);
    const { group, replicas } = placement;
    if (!replicas.some(({ node }) => node === nodeId)) {
      throw invalid(`shard ${shard} has no replica on node ${nodeId}`);
    }
    if (replicas.length === 1) throw conflict(`node ${nodeId} has the last replica of shard ${shard}`);
    const lead = await this.#lead(placement, signal);
    // One that is not yet a member is simply not wanted any more; everything else waits its turn.
    const isMember = [...lead.conf.voters, ...lead.conf.learners].some((member) => member === nodeId);
    if (isMember) {
      if (votes(lead, nodeId)) {
        this.#checkSettled(placement, lead);
        checkRest(lead, nodeId, shard);
      }
      if (lead.node === nodeId) await this.#transferAway(placement, lead, options);
      await this.#change(placement, [{ kind: "remove", node: NodeId(nodeId) }], options);
    }
    const wanted = replicas.length - 1;
    await this.#parts.commands.carryOut({ kind: "dropReplica", group, node: nodeId, wanted }, options);
    if (wait) await this.#until(name, shard, signal, (status) => !votes(status, nodeId));
  }

  async transfer(name: string, shard: number, nodeId: number, options: CallOptions): Promise<void> {
    const { signal } = options;
    const placement = this.#placement(name, shard);
    if (!placement.replicas.some(({ node }) => node === nodeId)) {
      throw invalid(`shard ${shard} has no replica on node ${nodeId}`);
    }
    const lead = await this.#lead(placement, signal);
    if (lead.node === nodeId) return;
    if (!votes(lead, nodeId)) throw conflict(`node ${nodeId} does not vote in shard ${shard}`);
    // To try it all the same would only keep writes waiting, until the leader gives it up.
    if (!lead.peers.some(({ node, recentlyActive }) => node === nodeId && recentlyActive))
      throw conflict(`node ${nodeId} does not answer node ${lead.node}, which leads shard ${shard}`);
    await this.#handOver(placement, lead, nodeId, options);
  }

  #placement(name: string, shard: number): Placement {
    return placementOf(this.#parts.collection(name), shard);
  }

  async #lead(place: Placement, signal: AbortSignal): Promise<GroupStatus> {
    const found = leaderStatus(place.group, await this.#parts.survey(signal));
    if (found === null) throw noLeader(place);
    this.#parts.leaders.learned(place.group, found.node);
    return found;
  }

  #checkSettled({ shard, replicas }: Placement, { conf }: GroupStatus): void {
    if (conf.votersOutgoing.length > 0) throw underWay(shard, "its voters are being exchanged");
    const unfinished = replicas.find(({ node }) => !conf.voters.some((voter) => voter === node));
    if (unfinished !== undefined) {
      const { node } = unfinished;
      throw underWay(shard, `its replica on node ${node} does not vote yet`, node);
    }
    const [learner] = conf.learners;
    if (learner !== undefined) throw underWay(shard, `node ${learner} still learns`);
  }

  async #transferAway(place: Placement, lead: GroupStatus, options: CallOptions): Promise<void> {
    const heirs = lead.peers
      .filter(({ node, learner, recentlyActive }) => node !== lead.node && !learner && recentlyActive)
      .sort((a, b) => b.match - a.match);
    const [heir] = heirs;
    if (heir === undefined)
      throw conflict(`nobody can lead shard ${place.shard} instead of node ${lead.node}`);
    await this.#handOver(place, lead, heir.node, options);
  }

  async #handOver(
    { shard, group }: Placement,
    { node: from }: GroupStatus,
    to: number,
    { signal, caller = null }: CallOptions,
  ): Promise<void> {
    const { nodeId, peers, handOver, leaders, timeoutMs } = this.#parts;
    let end: TransferOutcome;
    try {
      end =
        from === nodeId
          ? await handOver(group, to, signal)
          : await peers.call(from, "transfer", { group, to, timeoutMs, caller }, { timeoutMs, signal });
    } catch (error) {
      if (!signal.aborted) throw asApiError(error);
      end = { kind: "refused", why: "the deadline passed" };
    }
    if (end.kind === "refused" && signal.aborted)
      throw new ApiError(
        "DEADLINE_EXCEEDED",
        `Timeout error: node ${to} did not take over shard ${shard} in time`,
      );
    if (end.kind === "refused") throw conflict(`shard ${shard} was not handed over: ${end.why}`);
    leaders.learned(group, to);
  }

  async #change(
    place: Placement,
    steps: readonly MembershipStep[],
    { signal, caller = null }: CallOptions,
  ): Promise<void> {
    const { nodeId, consensus, peers, timeoutMs } = this.#parts;
    const lead = await this.#lead(place, signal);
    const { group } = place;
    try {
      const outcome =
        lead.node === nodeId
          ? await consensus.changeMembership(group, steps, { timeoutMs, signal })
          : await peers.call(
              lead.node,
              "changeMembership",
              { group, steps, timeoutMs, caller },
              { timeoutMs, signal },
            );
      this.#checkChanged(outcome, place);
    } catch (error) {
      throw asApiError(error);
    }
  }

  #checkChanged(outcome: ProposalOutcome, place: Placement): void {
    // Between the look at the leader and the proposal another change may have entered its log.
    if (outcome.kind === "dropped" && outcome.why === "refusedByCore")
      throw underWay(place.shard, "one is not applied yet, or its leadership is being handed over");
    const fate = fateOf(outcome, place, this.#parts.roles);
    if (fate.kind === "failed") throw fate.error;
    if (fate.kind === "again") throw noLeader(place);
  }

  /** Looks again and again until the shard's leader says so. OUTCOME_UNKNOWN: the wish stands, its end was not seen. */
  async #until(
    name: string,
    shard: number,
    signal: AbortSignal,
    done: (status: GroupStatus, place: Placement) => boolean,
  ): Promise<void> {
    const { leaders, survey } = this.#parts;
    try {
      for (let round = 0; ; round++) {
        const place = this.#placement(name, shard);
        const status = leaderStatus(place.group, await survey(signal));
        if (status !== null && done(status, place)) return;
        await leaders.pause(place.group, round, signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
      throw new ApiError(
        "OUTCOME_UNKNOWN",
        `Timeout error: the change of shard ${shard} is under way and goes on by itself`,
        { unknown: [] },
        { cause: error },
      );
    }
  }
}

/** SHARD_NOT_FOUND: the collection has no such shard. */
export function placementOf({ name, placement }: CatalogueCollection, shard: number): Placement {
  const found = placement.find((place) => place.shard === shard);
  if (found !== undefined) return found;
  throw noShard(name, shard);
}

/** What remains must be able to decide, or the shard stands still. */
function checkRest(lead: GroupStatus, without: number, shard: number): void {
  const rest = lead.conf.voters.filter((voter) => voter !== without);
  const well = rest.filter(
    (voter) =>
      voter === lead.node ||
      lead.peers.some(
        ({ node, recentlyActive, state }) => node === voter && recentlyActive && state === "replicate",
      ),
  );
  if (well.length >= Math.floor(rest.length / 2) + 1) return;
  throw conflict(
    `without node ${without} shard ${shard} could not decide: of the voters ${rest.join(", ")} only ` +
      `${well.length} are up to date`,
  );
}

function votes({ conf }: GroupStatus, nodeId: number): boolean {
  return [...conf.voters, ...conf.votersOutgoing].some((voter) => voter === nodeId);
}

/** `unfinished`: the node whose vote is waited for; it may be a node that never comes back. */
function underWay(shard: number, why: string, unfinished: number | null = null): ApiError {
  const giveUp = unfinished === null ? "" : `, or remove the voter on node ${unfinished} again to give it up`;
  return conflict(
    `another change of shard ${shard} is in progress: ${why}. Ask again when it has ended${giveUp}`,
  );
}

function invalid(what: string): ApiError {
  return new ApiError("INVALID", `Wrong input: ${what}`);
}
function conflict(what: string): ApiError {
  return new ApiError("CONFLICT", `Conflict: ${what}`);
}
