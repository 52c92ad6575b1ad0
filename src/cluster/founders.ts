/** Where the replicas of a new collection go. */
import type { CatalogueCollection, CatalogueNode } from "../catalog/types.ts";

/**
 * Per shard the nodes it is founded on: those with the fewest replicas, as many as the replication factor and the
 * cluster allow; one that is not up only when there are too few others, since a founder counts for the majority. The
 * first of each is up and is to lead, and another one each time.
 */
export function chooseFounders(
  wanted: { readonly shardNumber: number; readonly replicationFactor: number },
  nodes: readonly CatalogueNode[],
  collections: readonly CatalogueCollection[],
  isUp: (node: number) => boolean,
): readonly (readonly number[])[] {
  const active = nodes.filter(({ state }) => state === "active").map(({ nodeId }) => nodeId);
  const replicas = new Map(active.map((node) => [node, 0]));
  const leads = new Map(active.map((node) => [node, 0]));
  const add = (counts: Map<number, number>, node: number): void => {
    const known = counts.get(node);
    if (known !== undefined) counts.set(node, known + 1);
  };
  for (const { placement } of collections) {
    for (const shard of placement) for (const { node } of shard.replicas) add(replicas, node);
    for (const { founders } of placement) if (founders[0] !== undefined) add(leads, founders[0]);
  }
  const held = (node: number): number => replicas.get(node) ?? 0;
  const led = (node: number): number => leads.get(node) ?? 0;
  const byLoad = (some: readonly number[]): readonly number[] =>
    [...some].sort((a, b) => held(a) - held(b) || a - b);
  const up = active.filter(isUp);
  const down = active.filter((node) => !isUp(node));
  return Array.from({ length: wanted.shardNumber }, () => {
    const count = Math.min(wanted.replicationFactor, up.length);
    const loaded = byLoad(up);
    const bound = held(loaded[count - 1] ?? 0);
    const [first, ...others] = loaded
      .filter((node) => held(node) <= bound)
      .sort((a, b) => led(a) - led(b) || held(a) - held(b) || a - b);
    if (first === undefined) return [];
    // Of equals those that lead something already: the ones that do not are kept to lead the next.
    others.sort((a, b) => held(a) - held(b) || led(b) - led(a) || a - b);
    const chosen = [
      first,
      ...others.slice(0, count - 1),
      ...byLoad(down).slice(0, wanted.replicationFactor - count),
    ];
    for (const node of chosen) add(replicas, node);
    add(leads, first);
    return chosen;
  });
}
