/** What the tests of routing share: a world of nodes with a collection `c`, and how to ask it. */
import type { Principal } from "../../src/auth/permit.ts";
import type { NodeCallHandlers } from "../../src/cluster/node-calls/contract.ts";
import type { Consistency, ReadOptions, WriteOp } from "../../src/cluster/types.ts";
import { World } from "./world.ts";

let current: World | null = null;
/** The world of the running test, made by {@link start}. */
export const world = (): World => {
  if (current === null) throw new Error("no world was started");
  return current;
};
export function stop(): void {
  current?.stop();
  current = null;
}

/** Whom the tests of routing act for. */
export const MANAGER: Principal = { name: "root", credential: { kind: "key" }, rights: { kind: "manage" } };

export const patient = (): AbortSignal => new AbortController().signal;
export const upsert = (...ids: readonly number[]): WriteOp => ({
  kind: "upsert",
  points: ids.map((id) => ({ id, vector: new Float32Array([id, 1]), payload: null })),
});
export const writing = (more: { readonly signal?: AbortSignal; readonly idempotencyKey?: string } = {}) => ({
  wait: true,
  caller: MANAGER,
  idempotencyKey: null,
  signal: patient(),
  ...more,
});
export const reading = (consistency: Consistency = { level: "leader" }): ReadOptions => ({
  consistency,
  caller: MANAGER,
  signal: patient(),
});

/** Nodes 1 to `nodes`, and a collection `c`. Answers the groups of its shards. */
export async function start(nodes: number, shape: { shardNumber?: number; replicationFactor?: number } = {}) {
  current = await World.start(nodes);
  const made = await world()
    .router(1)
    .createCollection(
      {
        name: "c",
        vectors: { dimension: 2, distance: "Dot", m: 16, efConstruct: 100 },
        shardNumber: 1,
        replicationFactor: 3,
        metadata: null,
        ...shape,
      },
      { signal: patient(), caller: MANAGER },
    );
  return made.shards.map(({ group }) => group);
}
/** Each point was written exactly once, on the replica that leads. */
export function writesOf(groups: readonly number[]): ReadonlyMap<unknown, number> {
  return new Map(
    groups.flatMap((group) =>
      [
        ...world()
          .points(group, world().group(group).leader ?? 1)
          .values(),
      ].map(({ id, writes }) => [id, writes]),
    ),
  );
}
export function between(node: number, wrap: (own: NodeCallHandlers) => Partial<NodeCallHandlers>): void {
  const { handlers } = world().node(node);
  handlers.current = { ...handlers.current, ...wrap(handlers.current) };
}
