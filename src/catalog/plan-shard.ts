import type { ClusterView, Decision, GroupView } from "./plan-types.ts";
import { caughtUp, isAlive, survives } from "./plan-checks.ts";
import type { CatalogueCollection, Placement } from "./types.ts";

interface ShardParts {
  readonly placement: Placement;
  /** Replicas per node, for whoever is to get the next. */
  readonly load: ReadonlyMap<number, number>;
}

/** The next step for one shard, or null when nothing is to be done, or nothing can be done now. */
export function planShard(
  view: ClusterView,
  collection: CatalogueCollection,
  { placement, load }: ShardParts,
): Decision | null {
  const { group, shard } = placement;
  const now = view.groups.get(group);
  if (now === undefined || now.leader === null || now.conf === null || now.conf.joint) return null;
  const name = `shard ${shard} of ${collection.name}`;
  const parts = { view, now, placement, name, target: targetOf(view, collection, placement), load };
  // What is made anew is made from the leader: nothing is given up for a copy of what is doubtful.
  if (now.diverged.includes(now.leader)) return relieve(parts);
  return finishDrop(parts) ?? promote(parts) ?? shrink(parts) ?? admit(parts) ?? grow(parts);
}

interface Parts {
  readonly view: ClusterView;
  readonly now: GroupView;
  readonly placement: Placement;
  readonly name: string;
  readonly target: number;
  readonly load: ReadonlyMap<number, number>;
}

/** What is wanted, as far as there are nodes for it. */
function targetOf(view: ClusterView, collection: CatalogueCollection, { wanted }: Placement): number {
  const hosts = view.nodes.filter(({ nodeId, state }) => state === "active" && !isGone(view, nodeId)).length;
  return Math.max(1, Math.min(wanted ?? collection.replicationFactor, hosts));
}

/** Away for so long that nobody waits any more. */
function isGone({ alive, replaceAfterMs }: ClusterView, node: number): boolean {
  const seen = alive.get(node);
  return replaceAfterMs > 0 && seen !== undefined && !seen.alive && seen.deadForMs >= replaceAfterMs;
}

/** Its place is to be given up: it leaves, it is gone, or it holds something else than the others. */
function isUnwanted({ view, now }: Parts, node: number): boolean {
  const known = view.nodes.find(({ nodeId }) => nodeId === node);
  return (
    known === undefined || known.state === "leaving" || isGone(view, node) || now.diverged.includes(node)
  );
}

/** A leader that diverged serves nobody: another voter leads from now on, also while it cannot be spared as a voter. */
function relieve({ view, now, name }: Parts): Decision | null {
  const { group, leader, conf, diverged, peers } = now;
  if (leader === null || conf === null) return null;
  const [heir] = peers.filter(
    ({ node }) =>
      conf.voters.includes(node) && !diverged.includes(node) && isAlive(view, node) && caughtUp(now, node),
  );
  if (heir === undefined) return null;
  const why = `node ${leader} leads ${name}, but holds something else than the others`;
  return { kind: "transfer", group, leader, to: heir.node, why };
}

/** A replica that is no member any more, though it was one: all that is left is to forget its place. */
function finishDrop(parts: Parts): Decision | null {
  const { now, placement, name } = parts;
  const conf = now.conf;
  if (conf === null || placement.replicas.length < 2) return null;
  const isMember = (node: number): boolean => conf.voters.includes(node) || conf.learners.includes(node);
  const surplus = placement.replicas.filter(({ node }) => !isUnwanted(parts, node)).length > parts.target;
  for (const { node, founding } of placement.replicas) {
    if (isMember(node)) continue;
    // A founder is a member from the beginning, so one that is none was removed; a newcomer may be about to come.
    if (founding || isUnwanted(parts, node) || surplus)
      return { kind: "drop", group: now.group, node, why: `node ${node} is no member of ${name} any more` };
  }
  return null;
}

/** A learner that caught up votes from now on; one at a time, so that no majority rests on strangers. */
function promote(parts: Parts): Decision | null {
  const { now, placement, name } = parts;
  if (now.conf === null || now.leader === null) return null;
  for (const node of now.conf.learners) {
    if (!placement.replicas.some((replica) => replica.node === node)) continue;
    if (isUnwanted(parts, node) || !caughtUp(now, node)) continue;
    const steps = [{ kind: "addVoter", node }] as const;
    return {
      kind: "member",
      group: now.group,
      leader: now.leader,
      steps,
      why: `node ${node} has caught up with ${name}`,
    };
  }
  return null;
}

/**
 * One member less: the unwanted, the ones nobody placed, then the surplus, dead ones first. Never so that the rest could
 * not decide.
 */
function shrink(parts: Parts): Decision | null {
  const { view, now, placement, name, target } = parts;
  const { conf, leader } = now;
  if (conf === null || leader === null) return null;
  const members = [...conf.learners, ...conf.voters];
  const healthy = conf.voters.filter((node) => !isUnwanted(parts, node) && isAlive(view, node));
  const stray = members.filter((node) => !placement.replicas.some((replica) => replica.node === node));
  const unwanted = members.filter((node) => isUnwanted(parts, node));
  // With too few healthy voters the newcomers come first: what is unwanted may still be all there is.
  const enough = healthy.length >= Math.min(target, conf.voters.length);
  const surplus =
    placement.replicas.length > target && conf.voters.length > target
      ? [...conf.voters]
          .filter((node) => node !== leader)
          .sort((a, b) => Number(isAlive(view, a)) - Number(isAlive(view, b)) || b - a)
      : [];
  for (const node of [...stray, ...unwanted, ...surplus]) {
    const isLearner = conf.learners.includes(node);
    // What diverged serves nobody: it is no loss, and its place is needed for what is made anew.
    const free = enough || stray.includes(node) || now.diverged.includes(node);
    if (!isLearner && !(survives(view, now, node) && free)) continue;
    if (node === leader) {
      const [heir] = now.peers.filter(
        (peer) => healthy.includes(peer.node) && peer.node !== leader && caughtUp(now, peer.node),
      );
      if (heir === undefined) continue;
      return {
        kind: "transfer",
        group: now.group,
        leader,
        to: heir.node,
        why: `node ${node} is to leave ${name}`,
      };
    }
    const reason = stray.includes(node)
      ? "has no place in"
      : now.diverged.includes(node)
        ? "holds something else than the leader of"
        : unwanted.includes(node)
          ? "leaves, or is away for good from"
          : "is one more than wanted of";
    const steps = [{ kind: "remove", node }] as const;
    return { kind: "member", group: now.group, leader, steps, why: `node ${node} ${reason} ${name}` };
  }
  return null;
}

/** A placed replica that its node has opened is taken in as a learner. */
function admit({ now, placement, name, ...rest }: Parts): Decision | null {
  const { conf, leader } = now;
  if (conf === null || leader === null) return null;
  for (const { node } of placement.replicas) {
    if (conf.voters.includes(node) || conf.learners.includes(node) || !now.open.includes(node)) continue;
    if (isUnwanted({ now, placement, name, ...rest }, node)) continue;
    const steps = [{ kind: "addLearner", node }] as const;
    return { kind: "member", group: now.group, leader, steps, why: `node ${node} holds a place of ${name}` };
  }
  return null;
}

/** One place more, on the active node that holds least. */
function grow(parts: Parts): Decision | null {
  const { view, now, placement, name, target, load } = parts;
  const wantedOnes = placement.replicas.filter(({ node }) => !isUnwanted(parts, node)).length;
  if (wantedOnes >= target) return null;
  const [host] = view.nodes
    .filter(({ nodeId, state, grpc }) => state === "active" && grpc !== "" && isAlive(view, nodeId))
    .filter(({ nodeId }) => !placement.replicas.some(({ node }) => node === nodeId))
    .sort((a, b) => (load.get(a.nodeId) ?? 0) - (load.get(b.nodeId) ?? 0) || a.nodeId - b.nodeId);
  if (host === undefined) return null;
  const why = `${name} has ${wantedOnes} of ${target} replicas`;
  return { kind: "place", group: now.group, node: host.nodeId, why };
}
