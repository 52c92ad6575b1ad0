import type { GroupId } from "../../shards/ports.ts";
import { LogIndex, NodeId, Term } from "../../shards/raft/types.ts";
import { Client } from "./clients.ts";
import type { RefusedAttempts } from "./clients.ts";
import { isQuorum } from "./invariants/commits.ts";
import { CLUSTER } from "./node.ts";
import { led, overview, reach, reachRest, unequal } from "./reach.ts";
import { disturbRest } from "./rest-disturbed.ts";
import type { World } from "./world.ts";

const LEADER_WITHIN = 20;
const EQUAL_WITHIN = 120;
const SERVED_WITHIN = 60;
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
  await reachRest(world);
  await disturbRest(world, client);
  await replaceLeader(world);
  await reach(world, "equal replicas again", EQUAL_WITHIN, (group) => unequal(world, group));
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
