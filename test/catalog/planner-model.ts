import { CatalogueState } from "../../src/catalog/state.ts";
import type { CatalogueCommand } from "../../src/catalog/commands.ts";
import type { ClusterView, Decision, GroupView } from "../../src/catalog/plan-types.ts";
import { plan } from "../../src/catalog/planner.ts";
import { command, create } from "./support.ts";

interface Group {
  voters: number[];
  learners: number[];
  leader: number | null;
  /** Members whose copy is as new as the leader's. */
  current: Set<number>;
}

/** A cluster without time or network: what nodes hold, and what becomes of decisions. Throws when a rule is broken. */
export class ModelCluster {
  readonly catalogue = new CatalogueState();
  readonly groups = new Map<number, Group>();
  /** Groups that a node has opened. */
  readonly open = new Map<number, Set<number>>();
  readonly alive = new Set<number>();
  readonly deadForMs = new Map<number, number>();
  replaceAfterMs = 0;
  #index = 0;

  constructor(nodes: number) {
    this.groups.set(0, { voters: [1], learners: [], leader: 1, current: new Set([1]) });
    for (let node = 1; node <= nodes; node++) this.join();
  }

  join(): number {
    const outcome = this.command({
      kind: "registerNode",
      incarnation: `i${this.#index}`,
      nodeId: null,
      http: "h",
      grpc: "g",
      peer: "p",
      version: "1",
    });
    if (outcome.kind !== "node") throw new Error(`join ended as ${outcome.kind}`);
    const { nodeId } = outcome.node;
    this.alive.add(nodeId);
    this.open.set(nodeId, new Set([0]));
    return nodeId;
  }

  found(name: string, replicationFactor: number, founders: readonly number[], shards = 1): void {
    const { collection, ...rest } = create(name, shards);
    const placement = Array.from({ length: shards }, () => founders);
    this.command({ ...rest, collection: { ...collection, replicationFactor }, placement });
    for (const { group } of this.catalogue.collection(name)?.placement ?? []) {
      const leader = founders.find((node) => this.alive.has(node)) ?? null;
      this.groups.set(group, { voters: [...founders], learners: [], leader, current: new Set(founders) });
    }
    this.follow();
  }

  command(what: CatalogueCommand) {
    const index = ++this.#index;
    return this.catalogue.apply(index, command(index, what));
  }

  /** Nodes whose replica of a group is damaged, until it is destroyed. */
  readonly diverged = new Map<number, Set<number>>();

  /** Nodes open what is placed on them and forget what is not; groups elect when they can. */
  follow(): void {
    const placed = new Map<number, Set<number>>();
    for (const { placement } of this.catalogue.collections())
      for (const { group, replicas } of placement)
        placed.set(group, new Set(replicas.map(({ node }) => node)));
    for (const [node, open] of this.open) {
      if (!this.alive.has(node)) continue;
      for (const [group, nodes] of placed) if (nodes.has(node)) open.add(group);
      for (const group of [...open])
        if (group !== 0 && placed.get(group)?.has(node) !== true) {
          open.delete(group);
          this.diverged.get(group)?.delete(node);
        }
    }
    for (const group of this.groups.values()) this.#elect(group);
  }

  /** Learners and returned voters catch up. */
  catchUp(): void {
    for (const [id, group] of this.groups) {
      if (group.leader === null) continue;
      for (const node of [...group.voters, ...group.learners])
        if (this.alive.has(node) && this.open.get(node)?.has(id) === true) group.current.add(node);
    }
  }

  view(): ClusterView {
    const groups = new Map<number, GroupView>();
    for (const [id, group] of this.groups) {
      const members = [...group.voters, ...group.learners];
      const known = group.leader !== null;
      groups.set(id, {
        group: id,
        leader: group.leader,
        term: 1,
        commit: 1_000,
        conf: known ? { voters: group.voters, learners: group.learners, joint: false } : null,
        peers: known
          ? members.map((node) => ({
              node,
              match: group.current.has(node) ? 1_000 : 0,
              state: group.current.has(node) ? ("replicate" as const) : ("probe" as const),
              active: this.alive.has(node),
            }))
          : [],
        open: [...this.open].flatMap(([node, open]) =>
          this.alive.has(node) && open.has(id) && this.diverged.get(id)?.has(node) !== true ? [node] : [],
        ),
        diverged: [...(this.diverged.get(id) ?? [])],
      });
    }
    const nodes = this.catalogue.nodes();
    return {
      nodes,
      alive: new Map(
        nodes.map(({ nodeId }) => [
          nodeId,
          { alive: this.alive.has(nodeId), deadForMs: this.deadForMs.get(nodeId) ?? 0 },
        ]),
      ),
      collections: this.catalogue.collections(),
      groups,
      replaceAfterMs: this.replaceAfterMs,
    };
  }

  carryOut(decision: Decision): void {
    switch (decision.kind) {
      case "place":
        this.command({ kind: "placeReplica", group: decision.group, node: decision.node });
        return;
      case "drop":
        this.command({ kind: "dropReplica", group: decision.group, node: decision.node });
        return;
      case "removeNode":
        this.command({ kind: "removeNode", nodeId: decision.node });
        return;
      case "transfer": {
        const group = this.#group(decision.group);
        if (group.leader === decision.leader && this.#canLead(group, decision.to)) group.leader = decision.to;
        return;
      }
      case "member":
        if (this.#group(decision.group).leader !== decision.leader) return;
        for (const step of decision.steps) this.#change(decision.group, step);
        return;
    }
  }

  /** Plans, carries out and follows until nothing is planned any more; throws when that does not come. */
  settle(): readonly Decision[] {
    const all: Decision[] = [];
    for (let round = 0; round < 200; round++) {
      this.follow();
      this.catchUp();
      const decisions = plan(this.view());
      if (decisions.length === 0) return all;
      for (const decision of decisions) this.carryOut(decision);
      all.push(...decisions);
    }
    throw new Error(`it never comes to rest: ${JSON.stringify(all.slice(-6))}`);
  }

  kill(node: number): void {
    this.alive.delete(node);
    for (const group of this.groups.values()) this.#elect(group);
  }
  revive(node: number): void {
    this.alive.add(node);
    this.deadForMs.delete(node);
    this.follow();
  }

  #change(id: number, { kind, node }: { readonly kind: string; readonly node: number }): void {
    const group = this.#group(id);
    const before = group.voters.filter((voter) => this.alive.has(voter) && group.current.has(voter));
    switch (kind) {
      case "addLearner":
        if (!group.voters.includes(node) && !group.learners.includes(node)) group.learners.push(node);
        break;
      case "addVoter":
        if (!group.current.has(node))
          throw new Error(`node ${node} votes in group ${id} before it has caught up`);
        group.learners = group.learners.filter((learner) => learner !== node);
        if (!group.voters.includes(node)) group.voters.push(node);
        break;
      default:
        group.voters = group.voters.filter((voter) => voter !== node);
        group.learners = group.learners.filter((learner) => learner !== node);
        group.current.delete(node);
        if (group.voters.length === 0) throw new Error(`group ${id} lost its last voter`);
    }
    const able = group.voters.filter((voter) => this.alive.has(voter) && group.current.has(voter));
    const couldDecide = before.length > Math.floor(before.length === 0 ? 0 : group.voters.length / 2);
    if (couldDecide && able.length <= Math.floor(group.voters.length / 2))
      throw new Error(
        `the change ${kind} ${node} left group ${id} unable to decide: ${JSON.stringify(group.voters)}`,
      );
  }

  #elect(group: Group): void {
    const able = group.voters.filter((node) => this.alive.has(node) && group.current.has(node));
    const decides =
      group.voters.filter((node) => this.alive.has(node)).length > Math.floor(group.voters.length / 2);
    if (group.leader !== null && decides && able.includes(group.leader)) return;
    group.leader = decides ? (able[0] ?? null) : null;
  }
  #canLead(group: Group, node: number): boolean {
    return group.voters.includes(node) && this.alive.has(node) && group.current.has(node);
  }
  #group(id: number): Group {
    const found = this.groups.get(id);
    if (found === undefined) throw new Error(`there is no group ${id}`);
    return found;
  }
}
