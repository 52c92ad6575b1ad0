import { NodeId, Term, LogIndex } from "../../shards/raft/types.ts";
import { GroupId } from "../../shards/ports.ts";
import type { ConfState } from "../../shards/ports.ts";
import type { DecisionRecord } from "./decisions.ts";
import type { Dice } from "./dice.ts";
import { lopsided } from "./lopsided.ts";
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
  readonly #ambushDice: Dice;
  #turns = 0;
  /** Where each group last became joint. */
  readonly #joint = new Map<GroupId, number>();
  /** Messages sent under an envelope that nobody may accept. */
  readonly strays = new Map<string, number>();

  constructor(world: World) {
    this.#world = world;
    this.#dice = world.dice.fork("nemesis");
    this.#ambushDice = world.dice.fork("ambush");
  }

  start(): void {
    if (this.#world.swarm.nemesisUs === 0) return;
    this.#world.whenJoint = (group, conf, index) => {
      if (this.#world.calm || index <= (this.#joint.get(group) ?? 0)) return;
      this.#joint.set(group, index);
      const fault = this.#world.decisions.decide(`ambush:g${group}:${index}`, () => this.#drawAmbush());
      if (fault === null) return;
      this.#world.timeline.after(Number(fault["afterUs"]), () => {
        if (!this.#world.calm) this.#spring(group, conf, fault);
      });
    };
    this.#later();
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
    const { electionUs } = this.#world;
    return {
      kind,
      node: AT_LEADER.includes(kind) ? (leader ?? dice.pick(nodes)) : dice.pick(nodes),
      other: dice.pick(nodes),
      side: nodes.filter(() => dice.chance(500)),
      forUs: dice.skewed(2_000, electionUs * 8),
      longUs: dice.between(electionUs, electionUs * 6),
      slowUs: dice.between(electionUs >> 2, electionUs * 2),
      power: dice.chance(500),
      pendingSurvives: dice.chance(500),
      variant: dice.below(4),
    };
  }

  #drawAmbush(): DecisionRecord | null {
    const dice = this.#ambushDice;
    const { electionUs, swarm } = this.#world;
    if (!dice.chance(swarm.ambushPerMille)) return null;
    return {
      afterUs: dice.skewed(0, 2_000 + 4 * swarm.delayHighUs),
      lastsUs: dice.between(electionUs, electionUs * 6),
      kind: dice.pick(["split", "split", "split", "crash"]),
      choice: dice.below(1_000),
      power: dice.chance(500),
      pendingSurvives: dice.chance(500),
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
    const lasts = Number(LASTING.includes(kind) ? fault["longUs"] : fault["forUs"]);
    const afterwards = (undo: () => void): void => {
      world.timeline.after(lasts, undo);
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
      case "unreadable":
        // Read when a group is opened: it has to stay closed until the page can be read.
        world.stop(node, { power: false, pendingSurvives: true });
        node.disk.hardStateUnreadable = true;
        world.start(node);
        afterwards(() => {
          node.disk.hardStateUnreadable = false;
        });
        return;
      case "slow":
      case "slowLeader":
        this.#slow(node.id, fault);
        return;
      case "depose":
        // The others elect at once, while the deposed one waits in vain for its quorum and still thinks it leads.
        this.#cutBetween([node.id], world.nodes(), afterwards);
        this.#denounce(node.id);
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

  /**
   * A path becomes slower and slower, so that no silence gives it away. A leader may then also be unheard: its successor
   * is elected while it still receives the answers to what it said before.
   */
  #slow(node: NodeId, fault: DecisionRecord): void {
    const world = this.#world;
    const { network, timeline, electionUs } = world;
    const others = world.nodes().filter((id) => id !== node);
    const variant = Number(fault["variant"]);
    const unheard = fault["kind"] === "slowLeader";
    const slowUs = Number(fault["slowUs"]);
    const outwards = !unheard && variant === 1;
    const slower = (byUs: number): void => {
      for (const other of others) network.slow(outwards ? node : other, outwards ? other : node, byUs);
    };
    const stepUs = electionUs >> 2;
    const steps = Math.ceil(slowUs / stepUs);
    for (let step = 1; step <= steps; step++)
      timeline.after((step - 1) * stepUs, () => {
        if (!world.calm) slower(Math.min(slowUs, step * stepUs));
      });
    const steadyUs = steps * stepUs;
    if (unheard)
      timeline.after(steadyUs, () => {
        if (world.calm) return;
        for (const other of others) network.cut(node, other);
        if (fault["power"] === true) this.#denounce(node);
      });
    timeline.after(steadyUs + Number(fault["longUs"]), () => {
      slower(0);
      for (const other of others) network.mend(node, other);
    });
  }

  /** Everybody is refused by a machine that is alive. */
  #denounce(node: NodeId): void {
    for (const peer of this.#world.nodes().filter((id) => id !== node)) {
      this.#world.network.report(peer, node, "lost");
      this.#world.network.report(peer, node, "refused");
    }
  }

  /** A group has become joint just now: it is torn in the one way that tells both halves apart, or loses its leader. */
  #spring(group: GroupId, conf: ConfState, fault: DecisionRecord): void {
    const world = this.#world;
    const leader = world.leader(group)?.node;
    const afterwards = (undo: () => void): void => {
      world.timeline.after(Number(fault["lastsUs"]), undo);
    };
    world.note(`ambush g${group}`);
    world.marks.hit("joint configuration ambushed");
    const node = leader === undefined ? undefined : world.byId.get(leader);
    if (fault["kind"] === "crash" && node !== undefined && node.isUp) {
      world.stop(node, {
        power: fault["power"] === true,
        pendingSurvives: fault["pendingSurvives"] === true,
      });
      afterwards(() => {
        world.start(node);
      });
      return;
    }
    const sides = lopsided(conf);
    const side = sides[Number(fault["choice"]) % sides.length] ?? (leader === undefined ? [] : [leader]);
    this.#cutBetween(side, world.nodes(), afterwards);
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
      const asked = [...world.asked]
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
        // Of what is on its way the worst may come about: those that are fine leave, those that are lost come.
        return [conf.voters, conf.votersOutgoing].every(
          (half) =>
            keeps(half) &&
            keeps([
              ...half.filter((id) => !(removed.has(id) && others.has(id))),
              ...added.filter((id) => !half.includes(id) && !others.has(id)),
            ]),
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

/** Kinds that strike a leader when there is one. */
const AT_LEADER: readonly FaultKind[] = ["crashLeader", "isolateLeader", "slowLeader", "depose"];
/** Kinds that are of no use unless they outlast an election. */
const LASTING: readonly FaultKind[] = ["depose", "unreadable"];

/** What a stray of each variant has to be refused for. */
const REFUSALS = ["cluster", "receiver", "incarnation", "group"] as const;
const STRANGE_GROUP = GroupId(77);
