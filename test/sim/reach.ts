import type { GroupId } from "../../shards/ports.ts";
import type { NodeId } from "../../shards/raft/types.ts";
import type { GroupStatus } from "../../shards/surface.ts";
import { isQuorum } from "./invariants/commits.ts";
import type { World } from "./world.ts";

/** Simulated time in which an idle group comes to rest: a captured snapshot is kept for 500 ticks. */
const REST_WITHIN_TICKS = 700;

/** Lets time pass until every group rests, all of whose members are there. */
export async function reachRest(world: World): Promise<void> {
  const timeouts = Math.ceil(REST_WITHIN_TICKS / world.swarm.electionTicks);
  await reach(world, "rest", timeouts, (group) => restless(world, group));
}

/** Lets time pass until `missing` finds nothing missing in any group; fails with what it still finds in time. */
export async function reach(
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

export function led(world: World, group: GroupId): string | null {
  const leader = world.leader(group);
  if (leader === null) return `g${group} has no leader: ${overview(world, group)}`;
  const follows = (node: NodeId): boolean => world.status(node, group)?.leader === leader.node;
  return isQuorum(leader.conf, follows)
    ? null
    : `g${group}: a majority follows n${leader.node}: ${overview(world, group)}`;
}

export function unequal(world: World, group: GroupId): string | null {
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

export function overview(world: World, group: GroupId): string {
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
