import type { Engines } from "../../src/cluster/ports.ts";
import type { EngineStats, PointId, StoredPoint } from "../../src/cluster/types.ts";

/** What the engines of a node read of the world. */
export interface Shelves {
  holds(group: number, node: number): boolean;
  applied(group: number, node: number): number;
  points(group: number, node: number): ReadonlyMap<PointId, StoredPoint>;
}

/** One node's engines: every point of a group is looked at. */
export function worldEngines(world: Shelves, node: number): Engines {
  const points = (group: number): readonly StoredPoint[] => {
    if (!world.holds(group, node)) throw Object.assign(new Error("closed"), { code: "SHARD_CLOSED" });
    return [...world.points(group, node).values()];
  };
  const dot = (a: Float32Array, b: Float32Array): number =>
    a.reduce((sum, x, at) => sum + x * (b[at] ?? 0), 0);
  return {
    search: (group, queries) =>
      Promise.resolve().then(() =>
        queries.map(({ vector, offset, limit }) =>
          points(group)
            .map((point) => ({ ...point, score: dot(vector, point.vector ?? vector) }))
            .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
            .slice(offset, offset + limit),
        ),
      ),
    retrieve: (group, ids) =>
      Promise.resolve().then(() => points(group).filter(({ id }) => ids.includes(id))),
    scroll: (group, { from, limit }) =>
      Promise.resolve().then(() => {
        const all = points(group)
          .filter(({ id }) => from === null || id >= from)
          .sort((a, b) => (a.id < b.id ? -1 : 1));
        return { points: all.slice(0, limit), next: all[limit]?.id ?? null };
      }),
    count: (group) => Promise.resolve().then(() => points(group).length),
    stats: (group) =>
      Promise.resolve().then((): EngineStats => {
        const applied = world.applied(group, node);
        return {
          points: points(group).length,
          indexed: 0,
          tail: 0,
          tombstones: 0,
          appliedIndex: applied,
          durableIndex: applied,
          stateHash: `hash of ${applied}`,
          hashMarks: [],
          graphSaves: 0,
          graphSaveFailures: 0,
          rebuilds: 0,
          rebuilding: null,
          bytes: { graph: 0, tail: 0, tables: 0, bytesPerPoint: 0 },
          diskBytes: 0,
          failure: null,
        };
      }),
  };
}
