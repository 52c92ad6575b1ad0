import { NodeId, Term, LogIndex } from "../../shards/raft/types.ts";
import { GroupId } from "../../shards/ports.ts";
import type { DecisionRecord } from "./decisions.ts";
import type { Dice } from "./dice.ts";
import { CLUSTER } from "./node.ts";
import type { SimNode } from "./node.ts";
import type { FaultKind } from "./swarm.ts";
import { FAULT_KINDS } from "./swarm.ts";
import { CHANGE_TIMEOUT_MS } from "./churn.ts";
import type { World } from "./world.ts";

/** Breaks one thing after another, each for a while. What it breaks and for how long is one decision each. */
export class Nemesis {
  readonly #world: World;
  readonly #dice: Dice;
  #turns = 0;
  /** Messages sent under an envelope that nobody may accept. */
  readonly strays = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    this.#dice = world.dice.fork("nemesis");
  }

  start(): void {
    if (this.#world.swarm.nemesisUs > 0) this.#later();
  }

  #later(): void {
    this.#world.timeline.after(this.#world.swarm.nemesisUs, () => {
      if (this.#world.calm) return;
      const fault = this.#world.decisions.decide(`fault:${++this.#turns}`, () => this.#draw());
      if (fault !== null) this.#do(fault);
      this.#later();
    });
  }

  #draw(): DecisionRecord | null {
    const { weights } = this.#world.swarm;
    const total = FAULT_KINDS.reduce((sum, kind) => sum + weights[kind], 0);
    if (total === 0) return null;
    let roll = this.#dice.below(total);
    const kind = FAULT_KINDS.find((candidate) => (roll -= weights[candidate]) < 0);
    if (kind === undefined) return null;
    const dice = this.#dice;
    const nodes = this.#world.nodes();
    const leader = this.#world.leader(dice.pick(this.#world.groups()))?.node;
    return {
      kind,
      node:
        kind === "crashLeader" || kind === "isolateLeader" ? (leader ?? dice.pick(nodes)) : dice.pick(nodes),
      other: dice.pick(nodes),
      side: nodes.filter(() => dice.chance(500)),
      forUs: dice.skewed(2_000, this.#world.electionUs * 8),
      power: dice.chance(500),
      pendingSurvives: dice.chance(500),
      variant: dice.below(4),
    };
  }

  #do(fault: DecisionRecord): void {
    const world = this.#world;
    const kind = FAULT_KINDS.find((candidate) => candidate === fault["kind"]);
    const node = world.byId.get(NodeId(Number(fault["node"])));
    const other = NodeId(Number(fault["other"]));
    if (kind === undefined || node === undefined || node.gone) return;
    world.note(`fault ${kind} n${node.id}`);
    world.marks.hit(`fault: ${kind}`);
    const forUs = Number(fault["forUs"]);
    const afterwards = (undo: () => void): void => {
      world.timeline.after(forUs, undo);
    };
    this.#break(kind, node, other, fault, afterwards);
  }

  #break(
    kind: FaultKind,
    node: SimNode,
    other: NodeId,
    fault: DecisionRecord,
    afterwards: (undo: () => void) => void,
  ): void {
    const world = this.#world;
    switch (kind) {
      case "crash":
      case "power":
      case "crashLeader":
        if (!node.isUp) return;
        world.stop(node, { power: kind === "power", pendingSurvives: fault["pendingSurvives"] === true });
        afterwards(() => {
          world.start(node);
        });
        return;
      case "pause": {
        const process = node.life?.process;
        process?.pause();
        afterwards(() => {
          process?.resume();
        });
        return;
      }
      case "isolate":
      case "isolateLeader":
        this.#cutBetween([node.id], world.nodes(), afterwards);
        return;
      case "split": {
        const side = Array.isArray(fault["side"]) ? fault["side"].map(Number) : [];
        this.#cutBetween(side, world.nodes(), afterwards);
        return;
      }
      case "oneWay":
        world.network.cut(node.id, other);
        afterwards(() => {
          world.network.mend(node.id, other);
        });
        return;
      case "clog":
        world.network.clog(node.id, other);
        afterwards(() => {
          world.network.unclog(node.id, other);
        });
        return;
      case "refuse":
        // A firewall that answers for a machine that is alive: evidence of death that is false.
        this.#cutBetween([node.id], [other], afterwards);
        world.network.report(other, node.id, "lost");
        world.network.report(other, node.id, "refused");
        return;
      case "wipe":
      case "damage":
        if (!this.#canLose(node)) return;
        world.stop(node, { power: true, pendingSurvives: false });
        if (kind === "damage") {
          node.disk.corrupt = true;
          afterwards(() => {
            world.start(node);
          });
        } else {
          world.giveUp(node);
          if (fault["power"] === true) world.startWithoutLog(node);
          world.spawn();
        }
        return;
      case "badSector":
        node.excused = true;
        node.disk.failingReads += 1 + Number(fault["variant"]);
        // Found while running, or first of all when the log is opened.
        if (fault["power"] === true) {
          world.stop(node, { power: false, pendingSurvives: true });
          world.start(node);
        }
        return;
      case "stray":
        this.#stray(node, other, Number(fault["variant"]));
        return;
      case "campaign":
        node.life?.process.enter(() => {
          for (const group of node.life?.groups.values() ?? []) group.campaign();
        });
    }
  }

  #cutBetween(
    side: readonly number[],
    others: readonly NodeId[],
    afterwards: (undo: () => void) => void,
  ): void {
    const { network } = this.#world;
    const pairs = side.flatMap((a) =>
      others.filter((b) => b !== a && !side.includes(b)).map((b) => [NodeId(a), b] as const),
    );
    for (const [a, b] of pairs) {
      network.cut(a, b);
      network.cut(b, a);
    }
    afterwards(() => {
      for (const [a, b] of pairs) {
        network.mend(a, b);
        network.mend(b, a);
      }
    });
  }

  /** A log may be lost only while every configuration anyone holds, or may come to hold, keeps a majority without it. */
  #canLose(node: SimNode): boolean {
    const world = this.#world;
    const others = new Set(
      world.nodes().filter((id) => id !== node.id && world.byId.get(id)?.disk.corrupt === false),
    );
    const keeps = (members: readonly NodeId[]): boolean =>
      members.length === 0 || members.filter((id) => others.has(id)).length * 2 > members.length;
    const recentUs = world.nowUs() - 2_000 * CHANGE_TIMEOUT_MS;
    return world.groups().every((group) => {
      const asked = world.asked
        .filter((one) => one.group === group && one.atUs >= recentUs)
        .flatMap(({ steps }) => steps);
      const added = asked.filter(({ kind }) => kind === "addVoter").map((step) => step.node);
      const removed = new Set(asked.filter(({ kind }) => kind === "remove").map((step) => step.node));
      return world.nodes().every((holder) => {
        const image = world.image(holder, group);
        if (image === null) return true;
        const status = world.status(holder, group);
        const conf = status?.conf ?? image.boundary.conf;
        // Without a status the log may hold changes the boundary does not know of.
        const unsure = image.entries.some(
          (entry) => entry.kind !== "normal" && entry.index > (status?.applied ?? image.boundary.index),
        );
        if (unsure) return false;
        return [conf.voters, conf.votersOutgoing].every(
          (half) =>
            keeps(half) &&
            keeps([...new Set([...half, ...added])]) &&
            keeps(half.filter((id) => !removed.has(id))),
        );
      });
    });
  }

  /** A message of another cluster, for another node, an earlier incarnation or a group that is not here. */
  #stray(node: SimNode, from: NodeId, variant: number): void {
    const world = this.#world;
    if (from === node.id) return;
    const status = world.groups().map((group) => world.status(node.id, group))[0];
    if (status === null || status === undefined) return;
    const envelope = {
      cluster: variant === 0 ? "another cluster" : CLUSTER,
      sender: from,
      receiver: variant === 1 ? NodeId(999) : node.id,
      receiverIncarnation: variant === 2 ? "before the wipe" : null,
    };
    const message = {
      kind: "append" as const,
      from,
      to: node.id,
      term: Term(status.term + 3),
      prevIndex: LogIndex(0),
      prevTerm: Term(0),
      entries: [],
      commit: LogIndex(0),
    };
    // The last variant is in order but for its group, which nobody has opened.
    const group = world.groups()[0];
    const stranger = STRANGE_GROUP;
    if (group === undefined) return;
    if (world.network.inject(node.id, envelope, { group: variant === 3 ? stranger : group, message })) {
      const why = REFUSALS[variant] ?? "group";
      this.strays.set(why, (this.strays.get(why) ?? 0) + 1);
      world.marks.hit("stray message injected");
    }
  }
}

/** What a stray of each variant has to be refused for. */
const REFUSALS = ["cluster", "receiver", "incarnation", "group"] as const;
const STRANGE_GROUP = GroupId(77);
