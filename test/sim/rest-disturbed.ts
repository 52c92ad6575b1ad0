/**
 * What may leave a group resting while a member lacks something: the faults come just when its leader has nothing left
 * to say. During a run they rarely do, and the next operation of a client heals what they did. So some runs do it on
 * purpose, one thing at a time while all else is calm, and demand that the replicas become equal with nobody asking.
 */
import type { GroupId } from "../../shards/ports.ts";
import type { NodeId } from "../../shards/raft/types.ts";
import type { Client } from "./clients.ts";
import type { Dice } from "./dice.ts";
import { isQuorum } from "./invariants/commits.ts";
import { led, reach, reachRest, unequal } from "./reach.ts";
import type { SimNode } from "./node.ts";
import type { World } from "./world.ts";

/** Election timeouts: a member that was not told is found by a heartbeat; one that stands for election, after it. */
const EQUAL_WITHIN = 20;
const LEADER_WITHIN = 20;

/**
 * `tail`: a member does not get the last entry. `handshake`: nor what its leader says next, which may be that it rests.
 * `crash`: nor does it outlive that. `campaign`: a member that rests stands for election.
 */
const KINDS = ["tail", "tail", "handshake", "crash", "campaign"] as const;

/** `swarm.restDisturbances` times in every group: something goes wrong, and heals without anybody asking for anything. */
export async function disturbRest(world: World, client: Client): Promise<void> {
  const dice = world.dice.fork("rest disturbed");
  for (let round = 0; round < world.swarm.restDisturbances; round++)
    for (const group of world.groups()) {
      if (world.failure !== null) return;
      await disturb(world, client, { group, dice });
    }
}

async function disturb(
  world: World,
  client: Client,
  { group, dice }: { readonly group: GroupId; readonly dice: Dice },
): Promise<void> {
  const kind = dice.pick(KINDS);
  const lastsUs = dice.below(3 * world.swarm.heartbeatTicks * world.swarm.tickMs * 1000);
  const leader = world.leader(group);
  // A learner cannot stand; asking it to would only wake it, and nobody else would hear of it.
  const learners = kind === "campaign" ? [] : (leader?.conf.learners ?? []);
  const victims = [...(leader?.conf.voters ?? []), ...learners].filter(
    (node) => node !== leader?.node && world.byId.get(node)?.isUp === true,
  );
  if (leader === null || victims.length === 0) return;
  const victim = dice.pick(victims);
  const node = world.byId.get(victim);
  // The others have to decide without it.
  if (node === undefined || !isQuorum(leader.conf, (voter) => voter !== victim)) return;
  world.note(`rest disturbed g${group}: ${kind} n${victim}`);
  world.marks.hit(`rest disturbed: ${kind}`);

  if (kind === "campaign") {
    node.life?.process.enter(() => node.life?.groups.get(group)?.campaign());
  } else {
    // Everybody answers this one: whoever does not answer for long is not rested under.
    if (!(await written(world, client, { group, node: leader.node }))) return;
    await reach(world, "equal replicas", EQUAL_WITHIN, (each) => unequal(world, each));
    world.network.cut(leader.node, victim);
    const committed = await written(world, client, { group, node: leader.node });
    if (kind !== "tail") await pass(world, lastsUs);
    if (kind === "crash") restart(world, node);
    world.network.mend(leader.node, victim);
    if (!committed) return;
  }
  await reach(world, "a leader after a disturbed rest", LEADER_WITHIN, (each) => led(world, each));
  await reach(world, "equal replicas after a disturbed rest", EQUAL_WITHIN, (each) => unequal(world, each));
  await reachRest(world);
}

function restart(world: World, node: SimNode): void {
  world.stop(node, { power: true, pendingSurvives: false });
  world.start(node);
}

/** Whether one write was answered; the leader may have been deposed just then. */
async function written(
  world: World,
  client: Client,
  { group, node }: { readonly group: GroupId; readonly node: NodeId },
): Promise<boolean> {
  let end: "answered" | "not" | null = null;
  client.operate({ group, key: "k0", kind: "write", node }, ({ kind }) => {
    end = kind === "answered" ? "answered" : "not";
  });
  while (end === null && world.failure === null) await world.step();
  return end === "answered";
}

async function pass(world: World, us: number): Promise<void> {
  const untilUs = world.nowUs() + us;
  while (world.nowUs() < untilUs && world.failure === null) await world.step();
}
