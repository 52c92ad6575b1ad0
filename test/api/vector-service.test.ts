import { beforeEach, describe, expect, test } from "vitest";
import { MemoryCluster } from "../../bench/support/memory-cluster.ts";
import { limits } from "../../src/api/limits.ts";
import type { JsonValue, PointId, ReadOptions, WriteOptions } from "../../src/api/types.ts";
import { VectorService } from "../../src/api/vector-service.ts";
import { Authenticator } from "../../src/auth/authenticator.ts";
import { authorize, authorizeCluster, type Action, type CollectionPermit } from "../../src/auth/permit.ts";

const principal = new Authenticator({}).identify({ apiKey: undefined, authorization: undefined });
const permit = <A extends Action>(action: A): CollectionPermit<A> => authorize(principal, action, "c");
const read = (): ReadOptions => ({ signal: new AbortController().signal, consistency: { level: "leader" } });
const write = (more: Partial<WriteOptions> = {}): WriteOptions => ({
  signal: new AbortController().signal,
  wait: true,
  idempotencyKey: null,
  ...more,
});
const point = (id: PointId, ...values: number[]) => ({
  id,
  vector: Float32Array.from(values),
  payload: null,
});

let cluster: MemoryCluster;
let service: VectorService;
beforeEach(async () => {
  cluster = new MemoryCluster();
  service = new VectorService({ limits: limits() }, { cluster });
  const vectors = { dimension: 2, distance: "Euclid", m: 16, efConstruct: 100 } as const;
  await service.create(
    permit("manage"),
    { vectors, shardNumber: 1, replicationFactor: 1, metadata: { a: 1, b: { c: 2 } } },
    read(),
  );
});

describe("metadata", () => {
  const metadata = (): unknown => service.collection(permit("read")).metadata;
  const patch = (changes: { readonly [key: string]: JsonValue }): Promise<unknown> =>
    service.update(permit("manage"), { metadata: changes }, read());

  test("is merged by top-level key, and null removes a key", async () => {
    await patch({ b: { d: 3 }, e: [4] });
    expect(metadata()).toEqual({ a: 1, b: { d: 3 }, e: [4] });
    await patch({ a: null, b: null });
    expect(metadata()).toEqual({ e: [4] });
  });
});

test("however many ask whether the node has caught up, the cluster is asked twice at most", async () => {
  let asked = 0;
  const count = cluster.count.bind(cluster);
  cluster.count = (...given) => {
    asked++;
    return count(...given);
  };
  const { release, arrived } = cluster.hold();
  const probe = authorizeCluster(principal, "probe");
  const all = Array.from({ length: 50 }, () => service.caughtUp(probe, read()));
  await arrived;
  release();
  await Promise.all(all);
  expect(asked).toBe(2);
});

describe("writes", () => {
  test("are redirected when the node is configured so, unless the request says otherwise", async () => {
    const redirecting = new VectorService({ limits: limits(), redirectWrites: true }, { cluster });
    const upsert = [{ kind: "upsert" as const, points: [point(1, 1, 1)] }];
    await redirecting.write(permit("write"), upsert, write());
    expect(cluster.lastWrite?.redirect).toBe(true);
    await redirecting.write(permit("write"), upsert, { ...write(), redirect: false });
    expect(cluster.lastWrite?.redirect).toBe(false);
    await service.write(permit("write"), upsert, write());
    expect(cluster.lastWrite?.redirect).toBe(false);
  });

  test("the last of equal ids counts, in points and in lists of ids", async () => {
    const points = [point(1, 1, 1), point("1", 2, 2), point(1, 3, 3)];
    await service.write(permit("write"), [{ kind: "upsert", points }], write());
    await service.write(permit("write"), [{ kind: "delete", ids: ["1", "1"] }], write());
    const shape = { withPayload: { kind: "none" }, withVector: true } as const;
    const found = await service.retrieve(permit("read"), [1, "1"], shape, read());
    expect(found.map(({ id, vector }) => [id, [...(vector ?? [])]])).toEqual([[1, [3, 3]]]);
  });

  test("a failure other than an ApiError, once waiting was given up, is an unknown outcome", async () => {
    const waiting = new AbortController();
    const failing = new (class extends MemoryCluster {
      override collection() {
        return cluster.collection("c");
      }
      override write(): Promise<never> {
        waiting.abort(new Error("gone"));
        return Promise.reject(new Error("the connection broke"));
      }
    })();
    const careful = new VectorService({ limits: limits() }, { cluster: failing });
    const operation = { kind: "delete", ids: [1] } as const;
    const outcome = careful.write(permit("write"), [operation], write({ signal: waiting.signal }));
    await expect(outcome).rejects.toMatchObject({
      code: "OUTCOME_UNKNOWN",
      cause: { message: "the connection broke" },
    });
  });

  test.each([1.5, -1, NaN, 2 ** 53])("if_version %d is INVALID", async (ifVersion) => {
    const operation = { kind: "delete", ids: [1], ifVersion } as const;
    await expect(service.write(permit("write"), [operation], write())).rejects.toMatchObject({
      code: "INVALID",
    });
  });
});

describe("searches", () => {
  test("points as queries are looked up once, and each is left out of its own hits only", async () => {
    const points = [point(1, 0, 0), point(2, 1, 0), point(3, 3, 0)];
    await service.write(permit("write"), [{ kind: "upsert", points }], write());
    const near = (id: PointId) => ({
      near: { kind: "point", id } as const,
      limit: 5,
      offset: 0,
      ef: null,
      exact: false,
      scoreThreshold: null,
      withPayload: { kind: "none" } as const,
      withVector: false,
    });
    const lists = await service.search(permit("read"), [near(1), near(3), near(1)], read());
    expect(lists.map((hits) => hits.map(({ id, score }) => [id, score]))).toEqual([
      [
        [2, 1],
        [3, 3],
      ],
      [
        [2, 2],
        [1, 3],
      ],
      [
        [2, 1],
        [3, 3],
      ],
    ]);
  });
});
