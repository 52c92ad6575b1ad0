import { caughtUp, isAlive, survives } from "./plan-checks.ts";
import type { ClusterView, Decision } from "./plan-types.ts";

/** Voters of group 0: five survive two losses; more only make every entry slower. */
const VOTERS_MAX = 5;

/** Every node follows the catalogue: the first few vote, the others learn, and who leaves is taken out last. */
export function planCatalogueGroup(view: ClusterView): Decision | null {
  const now = view.groups.get(0);
  if (now === undefined || now.leader === null || now.conf === null || now.conf.joint) return null;
  const { leader, conf, group } = now;
  const member = (node: number): boolean => conf.voters.includes(node) || conf.learners.includes(node);
  const change = (kind: "addLearner" | "addVoter" | "remove", node: number, why: string): Decision => ({
    kind: "member",
    group,
    leader,
    steps: [{ kind, node }],
    why,
  });

  for (const { nodeId, state } of view.nodes)
    if (state === "active" && !member(nodeId))
      return change("addLearner", nodeId, `node ${nodeId} is to follow the catalogue`);

  const active = view.nodes.filter(({ state }) => state === "active").map(({ nodeId }) => nodeId);
  if (conf.voters.filter((node) => active.includes(node)).length < VOTERS_MAX)
    for (const node of conf.learners)
      if (active.includes(node) && isAlive(view, node) && caughtUp(now, node))
        return change("addVoter", node, `node ${node} has caught up with the catalogue`);

  for (const node of [...conf.learners, ...conf.voters]) {
    const known = view.nodes.find(({ nodeId }) => nodeId === node);
    const drained = !view.collections.some(({ placement }) =>
      placement.some(({ replicas }) => replicas.some((replica) => replica.node === node)),
    );
    const leaves = known === undefined || (known.state === "leaving" && drained);
    if (!leaves || (conf.voters.includes(node) && !survives(view, now, node))) continue;
    if (node !== leader) return change("remove", node, `node ${node} leaves the cluster`);
    const [heir] = now.peers.filter(
      (peer) => active.includes(peer.node) && conf.voters.includes(peer.node) && caughtUp(now, peer.node),
    );
    if (heir !== undefined)
      return { kind: "transfer", group, leader, to: heir.node, why: `node ${node} leaves the cluster` };
  }
  return null;
}
