import type { ClusterView, GroupView } from "./plan-types.ts";

/** Entries a learner may lack when it is given a vote: what arrives within one round of messages. */
const CLOSE_ENTRIES = 64;

export function isAlive({ alive }: ClusterView, node: number): boolean {
  return alive.get(node)?.alive === true;
}

/** As far as its leader is concerned: everything up to here is on its disk, give or take what is on its way. */
export function caughtUp(group: GroupView, node: number): boolean {
  const peer = group.peers.find((candidate) => candidate.node === node);
  return peer?.state === "replicate" && peer.active && peer.match + CLOSE_ENTRIES >= group.commit;
}

/** Whether the voters that remain without `node` can decide: a majority of them is alive and up to date. */
export function survives(view: ClusterView, group: GroupView, node: number): boolean {
  const rest = group.conf?.voters.filter((voter) => voter !== node) ?? [];
  const able = rest.filter(
    (voter) => voter === group.leader || (isAlive(view, voter) && caughtUp(group, voter)),
  );
  return rest.length > 0 && able.length > Math.floor(rest.length / 2);
}
