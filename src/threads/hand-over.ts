import type { Group } from "../../shards/index.ts";

/**
 * Hands every group that this node leads to the voter that lacks least, so that its end is no failover. Resolves when
 * no such group is led here any more, or after `timeoutMs`.
 */
export async function handOver(groups: readonly Group[], timeoutMs: number): Promise<void> {
  let stop: () => void = () => undefined;
  const late = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, timeoutMs);
    stop = () => clearTimeout(timer);
  });
  await Promise.race([Promise.all(groups.map((group) => giveAway(group))), late]);
  stop();
}

function giveAway(group: Group): Promise<void> {
  const { role, peers, state } = group.status();
  const [heir] = peers
    .filter(({ learner, recentlyActive, node }) => !learner && recentlyActive && node !== group.status().node)
    .sort((a, b) => b.match - a.match);
  if (state === "stopped" || role !== "leader" || heir === undefined) return Promise.resolve();
  return new Promise((resolve) => {
    const unsubscribe = group.subscribe((notice) => {
      const gone = notice.kind === "stopped" || (notice.kind === "role" && notice.role !== "leader");
      if (!gone) return;
      unsubscribe();
      resolve();
    });
    if (group.transferLeadership(heir.node) === null) return;
    unsubscribe();
    resolve();
  });
}
