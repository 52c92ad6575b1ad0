import type { GroupId } from "../../shards/ports.ts";
import { NodeId } from "../../shards/raft/types.ts";
import type { GroupStatus, MembershipStep } from "../../shards/surface.ts";
import type { DecisionRecord } from "./decisions.ts";
import type { Dice } from "./dice.ts";
import type { World } from "./world.ts";

/** Nodes a run ever makes, the wiped and removed ones included: bounds what a run costs. */
const NODES_MAX = 10;
export const CHANGE_TIMEOUT_MS = 2_000;

/** Changes memberships and leaders: 1 to 3 to 5 to 3, replacements, promotions, transfers. */
export class Churn {
  readonly #world: World;
  readonly #dice: Dice;
  readonly #removed = new Map<GroupId, Set<NodeId>>();
  #turns = 0;

  constructor(world: World) {
    this.#world = world;
    this.#dice = world.dice.fork("churn");
  }

  start(): void {
    if (this.#world.swarm.churnUs > 0) this.#later();
  }

  /** A removed member's id is never given out again. */
  wasRemoved(group: GroupId, node: NodeId): boolean {
    return this.#removed.get(group)?.has(node) === true;
  }

  #later(): void {
    this.#world.timeline.after(this.#world.swarm.churnUs, () => {
      if (this.#world.calm) return;
      const turn = ++this.#turns;
      for (const group of this.#world.groups()) {
        const change = this.#world.decisions.decide(`churn:${turn}:g${group}`, () => this.#draw(group));
        if (change !== null) this.#do(group, change);
      }
      this.#later();
    });
  }

  #draw(group: GroupId): DecisionRecord | null {
    const dice = this.#dice;
    const leader = this.#world.leader(group);
    if (leader === null) return null;
    const at = leader.node;
    if (dice.chance(300)) {
      const to = dice.pick([...leader.conf.voters, ...leader.conf.learners]);
      return { kind: "transfer", at, to };
    }
    const steps = this.#steps(group, leader);
    return steps.length === 0 ? null : { kind: "change", at, steps: steps.map((step) => ({ ...step })) };
  }

  #steps(group: GroupId, leader: GroupStatus): readonly MembershipStep[] {
    const dice = this.#dice;
    const { voters, learners } = leader.conf;
    const gone = voters.filter((id) => !this.#world.nodes().includes(id));
    const dead = gone[0];
    const lost = learners.find((id) => !this.#world.nodes().includes(id));
    if (lost !== undefined) return [{ kind: "remove", node: lost }];
    const learner = learners[0];
    const fresh = this.#fresh(group, leader);
    // The dead are replaced first: until then the group has less to lose.
    if (dead !== undefined && learner !== undefined)
      return [
        { kind: "addVoter", node: learner },
        { kind: "remove", node: dead },
      ];
    if (learner !== undefined && dice.chance(700)) return [{ kind: "addVoter", node: learner }];
    if (learner !== undefined) return [{ kind: "remove", node: learner }];
    const victim = dice.pick(voters);
    const grow = voters.length < 3 || (voters.length < 5 && dice.chance(400)) || dead !== undefined;
    if (grow && fresh !== null)
      return [{ kind: dice.chance(300) && dead === undefined ? "addVoter" : "addLearner", node: fresh }];
    if (voters.length < 3) return [];
    if (fresh !== null && dice.chance(this.#world.swarm.replacePerMille))
      return [
        { kind: "addVoter", node: fresh },
        { kind: "remove", node: victim },
      ];
    return [{ kind: "remove", node: dead ?? victim }];
  }

  #fresh(group: GroupId, leader: GroupStatus): NodeId | null {
    const { voters, votersOutgoing, learners } = leader.conf;
    const taken = new Set([...voters, ...votersOutgoing, ...learners]);
    const free = this.#world.nodes().find((id) => !taken.has(id) && !this.wasRemoved(group, id));
    if (free !== undefined) return free;
    return this.#world.byId.size < NODES_MAX ? NodeId(this.#world.byId.size + 1) : null;
  }

  #do(group: GroupId, change: DecisionRecord): void {
    const world = this.#world;
    const at = NodeId(Number(change["at"]));
    const life = world.byId.get(at)?.life;
    const replica = life?.groups.get(group);
    if (life === null || life === undefined || replica === undefined) return;
    if (change["kind"] === "transfer") {
      world.marks.hit("transfer asked for");
      life.process.enter(() => {
        replica.transferLeadership(NodeId(Number(change["to"])));
      });
      return;
    }
    const steps = readSteps(change["steps"]);
    if (!this.#keepsMajority(replica.status(), steps)) return;
    for (const { kind, node } of steps) {
      if (kind === "remove") this.#remember(group, node);
      else while (!world.byId.has(node) && world.byId.size < NODES_MAX) world.spawn();
    }
    if (steps.some(({ kind, node }) => kind !== "remove" && !world.byId.has(node))) return;
    world.marks.hit(steps.length > 1 ? "joint change asked for" : "simple change asked for");
    world.note(`change g${group} at n${at}: ${JSON.stringify(steps)}`);
    const asked = { atUs: world.nowUs(), group, steps };
    world.asked.add(asked);
    life.process.enter(() => {
      replica.changeMembership(steps, { timeoutMs: CHANGE_TIMEOUT_MS }).then(
        (outcome) => {
          world.marks.hit(`membership change: ${outcome.kind}`);
          if (outcome.kind !== "unknown") world.asked.delete(asked);
        },
        (error: unknown) => {
          world.fail("calls end with an outcome", `changeMembership threw ${String(error)}`);
        },
      );
    });
  }

  /** Nobody takes the last majority away: of the voters that will be, most have their data. */
  #keepsMajority({ conf }: GroupStatus, steps: readonly MembershipStep[]): boolean {
    const { byId } = this.#world;
    const lost = (id: NodeId): boolean => byId.get(id)?.gone === true || byId.get(id)?.disk.corrupt === true;
    const voters = new Set(conf.voters);
    // While one is lost the others are needed: a leader that is removed steps down when it has applied that, and may
    // hold the only log that the old half's majority would vote for. The lost one is to be replaced first.
    const wounded = conf.voters.some(lost) || conf.votersOutgoing.some(lost);
    for (const { kind, node } of steps) {
      if (wounded && kind === "remove" && !lost(node)) return false;
      if (kind !== "remove" && lost(node)) return false;
      if (kind === "addVoter") voters.add(node);
      else voters.delete(node);
    }
    return [...voters].filter((id) => !lost(id)).length * 2 > voters.size;
  }

  #remember(group: GroupId, node: NodeId): void {
    const removed = this.#removed.get(group) ?? new Set();
    this.#removed.set(group, removed.add(node));
  }
}

function readSteps(value: unknown): MembershipStep[] {
  if (!Array.isArray(value)) return [];
  return value.flatMap((step: { kind?: unknown; node?: unknown }) => {
    const { kind, node } = step;
    if (kind !== "addVoter" && kind !== "addLearner" && kind !== "remove") return [];
    return [{ kind, node: NodeId(Number(node)) }];
  });
}
