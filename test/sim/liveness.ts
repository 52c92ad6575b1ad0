import type { GroupId } from "../../shards/ports.ts";
import type { GroupStatus } from "../../shards/surface.ts";
import { LogIndex, NodeId, Term } from "../../shards/raft/types.ts";
import { Client } from "./clients.ts";
import type { RefusedAttempts } from "./clients.ts";
import { isQuorum } from "./invariants/commits.ts";
import { CLUSTER } from "./node.ts";
import type { World } from "./world.ts";

const LEADER_WITHIN = 20;
const EQUAL_WITHIN = 120;
const SERVED_WITHIN = 60;
/** Simulated time in which an idle group comes to rest: a captured snapshot is kept for 500 ticks. */
const REST_WITHIN_TICKS = 700;
const OPERATIONS = 10;
/** Number of the client that only this phase has. */
const LAST_CLIENT = 99;

/**
 * What must come true once everything works again: a leader within 20 election timeouts, all replicas equal and no
 * configuration joint, ten writes and ten reads served by every group; then, all idle, every group at rest; and, when
 * the leader dies, while a stranger keeps talking or without a word, another leader as fast.
 */
export async function checkLiveness(world: World, refused: RefusedAttempts): Promise<void> {
  world.calm = true;
  world.note("calm");
  world.network.heal();
  for (const node of [...world.byId.values()]) {
    node.life?.process.resume();
    node.disk.failingReads = 0;
    node.disk.hardStateUnreadable = false;
    // What stopped for a fault is started afresh; the others go on as they are.
    if (world.groups().some((group) => world.status(node.id, group)?.state === "stopped"))
      world.stop(node, { power: false, pendingSurvives: true });
    world.start(node);
  }
  const client = new Client(world, LAST_CLIENT, refused);
  await reach(world, "a leader", LEADER_WITHIN, (group) => led(world, group));
  await reach(world, "equal replicas", EQUAL_WITHIN, (group) => unequal(world, group));
  for (const group of world.groups()) await serve(world, client, group);
  const restTimeouts = Math.ceil(REST_WITHIN_TICKS / world.swarm.electionTicks);
  await reach(world, "rest", restTimeouts, (group) => restless(world, group));
  await replaceLeader(world);
  await reach(world, "equal replicas again", EQUAL_WITHIN, (group) => unequal(world, group));
}

/** Lets time pass until `missing` finds nothing missing in any group; fails with what it still finds in time. */
async function reach(
  world: World,
  what: string,
  timeouts: number,
  missing: (group: GroupId) => string | null,
): Promise<void> {
  const deadlineUs = world.nowUs() + timeouts * world.electionUs;
  let lookUs = 0;
  while (world.failure === null) {
    if (world.nowUs() >= lookUs) {
      lookUs = world.nowUs() + world.swarm.tickMs * 1000;
      const found = world
        .groups()
        .map((group) => missing(group))
        .filter((text) => text !== null);
      if (found.length === 0) return;
      if (world.nowUs() > deadlineUs) {
        world.fail(
          "liveness",
          `no ${what} within ${timeouts} election timeouts after healing: ${found.join("; ")}`,
        );
        return;
      }
    }
    if (!(await world.step())) world.fail("liveness", "nothing is left to happen");
  }
}

function led(world: World, group: GroupId): string | null {
  const leader = world.leader(group);
  if (leader === null) return `g${group} has no leader: ${overview(world, group)}`;
  const follows = (node: NodeId): boolean => world.status(node, group)?.leader === leader.node;
  return isQuorum(leader.conf, follows)
    ? null
    : `g${group}: a majority follows n${leader.node}: ${overview(world, group)}`;
}

function unequal(world: World, group: GroupId): string | null {
  const leader = world.leader(group);
  if (leader === null) return `g${group} has no leader`;
  const { conf } = leader;
  if (conf.votersOutgoing.length > 0) return `g${group} is still joint: ${overview(world, group)}`;
  const digest = world.machine(leader.node, group)?.digest();
  for (const node of [...conf.voters, ...conf.learners]) {
    if (!world.nodes().includes(node)) continue;
    if (world.machine(node, group)?.digest() !== digest)
      return `g${group}: n${node} holds ${world.machine(node, group)?.digest()}, the leader n${leader.node} ${digest}; ${overview(world, group)}`;
  }
  return null;
}

/** A group all of whose members are there, and idle, needs no ticks. */
function restless(world: World, group: GroupId): string | null {
  const conf = world.leader(group)?.conf;
  const members = [...(conf?.voters ?? []), ...(conf?.learners ?? [])];
  if (members.some((node) => !world.nodes().includes(node))) return null;
  const awake = members.filter((node) => world.status(node, group)?.resting !== true);
  return awake.length === 0 ? null : `g${group}: n${awake.join(" n")} awake, ${overview(world, group)}`;
}

function overview(world: World, group: GroupId): string {
  const show = (status: GroupStatus | null): string =>
    status === null
      ? "down"
      : `${status.role} t${status.term} leader n${status.leader} ${status.applied}/${status.commit}/${status.lastIndex} ` +
        `[${status.conf.voters.join()}][${status.conf.votersOutgoing.join()}][${status.conf.learners.join()}] ${status.failure ?? ""}`;
  return world
    .nodes()
    .map((node) => `n${node} ${show(world.status(node, group))}`)
    .join(", ");
}

async function serve(world: World, client: Client, group: GroupId): Promise<void> {
  for (let i = 0; i < 2 * OPERATIONS; i++) {
    const kind = i % 2 === 0 ? "write" : "read";
    const deadlineUs = world.nowUs() + SERVED_WITHIN * world.electionUs;
    let answered = false;
    while (!answered && world.failure === null) {
      if (world.nowUs() > deadlineUs) {
        world.fail("liveness", `g${group} serves a ${kind}: ${overview(world, group)}`);
        return;
      }
      let ended = false;
      const node = world.leader(group)?.node ?? world.nodes()[0];
      if (node === undefined) return;
      client.operate({ group, key: `k${i % 3}`, kind, node }, (end) => {
        ended = true;
        answered = end.kind === "answered";
      });
      while (!ended && world.failure === null) await world.step();
      // A refusal is immediate: without a step in between the same moment would be asked for ever.
      if (!answered) await world.step();
    }
  }
}

/**
 * The leader of the first group dies for good. In some runs who never mattered keeps sending old votes to everybody; in
 * the others nobody says anything: no connection breaks, no client calls, and whoever rests has to find out by itself.
 */
async function replaceLeader(world: World): Promise<void> {
  const group = world.groups()[0];
  if (group === undefined || world.failure !== null) return;
  const leader = world.leader(group);
  const old = leader === null ? undefined : world.byId.get(leader.node);
  const up = (node: NodeId): boolean => node !== leader?.node && world.byId.get(node)?.isUp === true;
  const survives = world.groups().every((each) => {
    const conf = world.leader(each)?.conf;
    return conf !== undefined && isQuorum(conf, up);
  });
  if (old === undefined || leader === null || !survives) return;
  world.marks.hit("leader replaced in the liveness phase");
  const stranger = NodeId(998);
  const noise = (): void => {
    if (old.isUp) return;
    for (const to of world.nodes()) {
      for (const each of world.groups()) {
        world.network.inject(
          to,
          { cluster: CLUSTER, sender: stranger, receiver: to, receiverIncarnation: null },
          {
            group: each,
            message: {
              kind: "voteRequest",
              from: stranger,
              to,
              term: Term(world.status(to, each)?.term ?? 0),
              lastIndex: LogIndex(0),
              lastTerm: Term(0),
              transfer: false,
              deadLeader: NodeId(0),
            },
          },
        );
      }
    }
    world.timeline.after(world.swarm.tickMs * 500, noise);
  };
  if (world.dice.fork("last death").chance(500)) {
    world.marks.hit("leader died without a word");
    for (const node of world.nodes()) {
      world.network.cut(node, old.id);
      world.network.cut(old.id, node);
    }
    world.stop(old, { power: true, pendingSurvives: false });
  } else {
    world.stop(old, { power: true, pendingSurvives: false });
    noise();
  }
  await reach(world, "new leader", LEADER_WITHIN, (each) => led(world, each));
  world.network.heal();
  world.start(old);
}
