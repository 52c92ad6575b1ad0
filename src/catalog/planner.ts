/**
 * What has to be done next to bring the cluster from what it is to what the catalogue wants: a function of the view,
 * with no memory, no clock and no dice. A step that was lost is planned again; one that was done twice is refused by
 * whoever carries it out. A replica comes in three steps, each of which a crash may follow:
 *
 *     place (catalogue) ─▶ its node opens it ─▶ addLearner ─▶ catches up ─▶ addVoter        (its group's log)
 *     remove (its group's log) ─▶ drop (catalogue) ─▶ its node destroys it
 */
import { planCatalogueGroup } from "./plan-catalogue.ts";
import { planShard } from "./plan-shard.ts";
import type { ClusterView, Decision } from "./plan-types.ts";

/** At most one decision per group, so that two never get in each other's way. */
export function plan(view: ClusterView): readonly Decision[] {
  const load = loadOf(view);
  const decisions: Decision[] = [];
  const take = (decision: Decision | null): void => {
    if (decision === null) return;
    decisions.push(decision);
    if (decision.kind === "place") load.set(decision.node, (load.get(decision.node) ?? 0) + 1);
  };
  take(planCatalogueGroup(view));
  for (const collection of view.collections) {
    for (const placement of collection.placement) take(planShard(view, collection, { placement, load }));
  }
  if (decisions.length === 0) take(balanceLeaders(view));
  if (decisions.length === 0) take(letGo(view));
  return decisions;
}

/** Replicas per node. */
function loadOf({ nodes, collections }: ClusterView): Map<number, number> {
  const load = new Map(nodes.map(({ nodeId }) => [nodeId, 0]));
  for (const { placement } of collections) {
    for (const { replicas } of placement) {
      for (const { node } of replicas) load.set(node, (load.get(node) ?? 0) + 1);
    }
  }
  return load;
}

/** One leadership at a time, and only where it makes a difference of two: leaders do not wander. */
function balanceLeaders(view: ClusterView): Decision | null {
  const groups = view.collections.flatMap(({ placement }) =>
    placement.flatMap(({ group }) => view.groups.get(group) ?? []),
  );
  const led = new Map(
    view.nodes
      .filter(({ nodeId, state }) => state === "active" && view.alive.get(nodeId)?.alive === true)
      .map(({ nodeId }) => [nodeId, 0]),
  );
  for (const { leader } of groups)
    if (leader !== null && led.has(leader)) led.set(leader, (led.get(leader) ?? 0) + 1);
  for (const { group, leader, conf, peers, commit, diverged } of groups) {
    if (leader === null || conf === null || conf.joint) continue;
    const mine = led.get(leader) ?? 0;
    const [heir] = peers
      .filter(
        ({ node, match, active }) =>
          node !== leader && active && match >= commit && conf.voters.includes(node),
      )
      .filter(({ node }) => led.has(node) && (led.get(node) ?? 0) + 2 <= mine && !diverged.includes(node))
      .sort((a, b) => (led.get(a.node) ?? 0) - (led.get(b.node) ?? 0) || a.node - b.node);
    if (heir === undefined) continue;
    const why = `node ${leader} leads ${mine} shards and node ${heir.node} ${led.get(heir.node)}`;
    return { kind: "transfer", group, leader, to: heir.node, why };
  }
  return null;
}

/** A drained node that is no member of anything any more. */
function letGo(view: ClusterView): Decision | null {
  const members = view.groups.get(0)?.conf;
  if (members === undefined || members === null || members.joint) return null;
  for (const { nodeId, state } of view.nodes) {
    const held = view.collections.some(({ placement }) =>
      placement.some(({ replicas }) => replicas.some(({ node }) => node === nodeId)),
    );
    const member = members.voters.includes(nodeId) || members.learners.includes(nodeId);
    if (state === "leaving" && !held && !member)
      return { kind: "removeNode", node: nodeId, why: `node ${nodeId} is drained` };
  }
  return null;
}
