/** Collections, aliases and the cluster: what every method answers and refuses. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { startGrpc, type Grpc, type GrpcAnswer } from "../support/grpc.ts";

let grpc: Grpc;
const C = { collection: "cities" };
beforeAll(async () => {
  grpc = await startGrpc();
  await grpc.call("Collections/Create", {
    ...C,
    dimension: 4,
    distance: "DISTANCE_COSINE",
    shardNumber: 2,
    metadataJson: '{"owner":"a"}',
  });
});
afterAll(() => grpc[Symbol.asyncDispose]());

const outcome = ({ code, metadata, details }: GrpcAnswer) => [code, metadata["flotilla-code"], details];
const answer = async (path: string, request: object) => {
  const told = await grpc.call(path, request);
  expect([told.code, told.details]).toEqual(["OK", ""]);
  return told.answer;
};

test("a collection is shown with what it was made with, or what it is by default", async () => {
  const whole = { name: "cities", state: "STATE_GREEN", dimension: 4, distance: "DISTANCE_COSINE" };
  expect(await answer("Collections/Get", C)).toEqual({
    ...whole,
    m: 16,
    efConstruct: 100,
    shardNumber: 2,
    replicationFactor: 3,
    metadataJson: '{"owner":"a"}',
  });
  const own = { dimension: 1, distance: "DISTANCE_EUCLID", m: 8, efConstruct: 50, replicationFactor: 1 };
  await answer("Collections/Create", { collection: "own", ...own });
  expect(await answer("Collections/Get", { collection: "own" })).toMatchObject({ ...own, shardNumber: 1 });
  await answer("Points/Upsert", { collection: "own", points: [{ id: { num: 1 }, vector: [1] }] });
  expect(await answer("Collections/Get", { collection: "own" })).toMatchObject({ points: 1, indexed: 1 });
  expect(await answer("Collections/List", {})).toEqual({ names: ["cities", "own"] });
  expect(await answer("Collections/Exists", { collection: "own" })).toEqual({ exists: true });
  expect(await answer("Collections/Delete", { collection: "own" })).toEqual({ deleted: true });
  expect(await answer("Collections/Delete", { collection: "own" })).toEqual({});
  expect(await answer("Collections/Exists", { collection: "own" })).toEqual({});
});

test("metadata is merged, replicas are wished for", async () => {
  await answer("Collections/Update", { ...C, metadataJson: '{"owner":null,"b":[1]}', replicationFactor: 5 });
  expect(await answer("Collections/Get", C)).toMatchObject({
    metadataJson: '{"b":[1]}',
    replicationFactor: 5,
  });
  await answer("Collections/Update", { ...C, metadataJson: '{"owner":"z"}' });
  expect(await answer("Collections/Get", C)).toMatchObject({
    metadataJson: '{"b":[1],"owner":"z"}',
    replicationFactor: 5,
  });
});

test("aliases are other names", async () => {
  const create = (alias: string) => ({ create: { alias, collection: "cities" } });
  await answer("Collections/ChangeAliases", { actions: [create("a"), create("b")] });
  await answer("Collections/ChangeAliases", {
    actions: [{ rename: { from: "a", to: "c" } }, { delete: { alias: "b" } }],
  });
  const aliases = [{ alias: "c", collection: "cities" }];
  expect(await answer("Collections/ListAliases", {})).toEqual({ aliases });
  expect(await answer("Collections/GetAliases", C)).toEqual({ aliases });
  expect(await answer("Points/Count", { collection: "c" })).toEqual({});
});

test("nodes, their leader and the one that was asked", async () => {
  const { nodes } = await answer("Cluster/ListNodes", {});
  expect(nodes).toHaveLength(3);
  expect(await answer("Cluster/GetLeader", {})).toEqual((nodes as readonly object[])[0]);
  expect(await answer("Cluster/GetLeader", {})).toMatchObject({
    nodeId: 1,
    http: "127.0.0.1:6001",
    grpc: "127.0.0.1:7001",
    peer: "127.0.0.1:8001",
    role: "voter",
    alive: true,
    version: "test",
    state: "active",
  });
  await answer("Cluster/RemoveNode", { nodeId: 3 });
  expect(((await answer("Cluster/ListNodes", {}))["nodes"] as readonly object[])[2]).toMatchObject({
    state: "leaving",
  });
  const status = await answer("Cluster/GetStatus", {});
  expect(status).toMatchObject({
    nodeId: 1,
    clusterId: "memory",
    version: "0.1.0",
    startedAt: "2026-01-01T00:00:00.000Z",
    ready: true,
    catalogueLeader: 1,
    catalogueTerm: 1,
  });
  expect(status["replicas"]).toContainEqual(
    expect.objectContaining({
      collection: "cities",
      group: 2,
      shard: 1,
      role: "leader",
      leader: 1,
      points: 0,
    }),
  );
  expect((status["replicas"] as readonly object[])[0]).not.toHaveProperty("error");
});

test("shards, and who votes in them and leads them", async () => {
  const place = { ...C, shard: 1 };
  expect((await answer("Cluster/ListShards", C))["shards"]).toHaveLength(2);
  await answer("Cluster/AddVoter", { ...place, nodeId: 2 });
  await answer("Cluster/TransferLeader", { ...place, nodeId: 2 });
  await answer("Cluster/MoveReplica", { ...place, fromNodeId: 1, toNodeId: 3 });
  const { replicas, ...shard } = await answer("Cluster/GetShard", place);
  expect(shard).toEqual({ shard: 1, term: 1, leader: 2 });
  expect(replicas).toEqual([
    expect.objectContaining({ nodeId: 2, role: "leader", state: "active", match: 0, lag: 0, points: 0 }),
    expect.objectContaining({ nodeId: 3, role: "voter" }),
  ]);
  await answer("Cluster/RestartReplica", { ...place, nodeId: 3 });
  await answer("Cluster/RemoveVoter", { ...place, nodeId: 3, wait: false });
  expect((await answer("Cluster/GetShard", place))["replicas"]).toHaveLength(1);
});

const make = { dimension: 4, distance: "DISTANCE_DOT" };
test.each([
  [
    "Collections/Get",
    { collection: "none" },
    "COLLECTION_NOT_FOUND",
    "Not found: Collection `none` doesn't exist!",
  ],
  ["Collections/Create", { ...C, ...make }, "COLLECTION_EXISTS", /already exists/],
  [
    "Collections/Create",
    { collection: "x", dimension: 4 },
    "BAD_REQUEST",
    "Wrong input: the request lacks the field `distance`",
  ],
  [
    "Collections/Create",
    { collection: "x", distance: 1 },
    "INVALID",
    "Wrong input: the vector size must be 1 or more, not 0",
  ],
  [
    "Collections/Create",
    { collection: "x", ...make, distance: 9 },
    "BAD_REQUEST",
    "Wrong input: `distance` has no value 9: known are 1 to 3 (Cosine, Dot, Euclid)",
  ],
  ["Collections/Create", { collection: "x", ...make, m: 1 }, "INVALID", /`m` must be from 2 to 200/],
  ["Collections/Create", { collection: "x", ...make, shardNumber: 65 }, "INVALID", /`limits.shard_number`/],
  ["Collections/Create", { collection: "", ...make }, "INVALID", /name/],
  [
    "Collections/Create",
    { collection: "x", ...make, metadataJson: "3" },
    "BAD_REQUEST",
    "Wrong input: `metadata_json` must be JSON of an object",
  ],
  ["Collections/Update", { collection: "none" }, "COLLECTION_NOT_FOUND", /none/],
  ["Collections/Update", { ...C, replicationFactor: 0 }, "INVALID", /replication factor/],
  ["Collections/GetAliases", { collection: "none" }, "COLLECTION_NOT_FOUND", /none/],
  [
    "Collections/ChangeAliases",
    { actions: [{}] },
    "BAD_REQUEST",
    "Wrong input: `actions[0]` must have one of create, delete, rename",
  ],
  [
    "Collections/ChangeAliases",
    { actions: [{ create: { alias: "q", collection: "none" } }] },
    "COLLECTION_NOT_FOUND",
    /none/,
  ],
  ["Cluster/RemoveNode", {}, "BAD_REQUEST", "Wrong input: the request lacks the field `node_id`"],
  ["Cluster/RemoveNode", { nodeId: 9 }, "INVALID", "Wrong input: there is no node 9"],
  ["Cluster/ListShards", { collection: "none" }, "COLLECTION_NOT_FOUND", /none/],
  ["Cluster/GetShard", { ...C, shard: 9 }, "SHARD_NOT_FOUND", /Shard 9/],
  ["Cluster/AddVoter", { ...C, nodeId: 1 }, "CONFLICT", "Conflict: node 1 votes already"],
  ["Cluster/AddVoter", C, "BAD_REQUEST", /`node_id`/],
  ["Cluster/RemoveVoter", { ...C, nodeId: 2 }, "INVALID", /no replica/],
  ["Cluster/MoveReplica", { ...C, fromNodeId: 1 }, "BAD_REQUEST", /`to_node_id`/],
  ["Cluster/RestartReplica", { ...C, nodeId: 0 }, "BAD_REQUEST", /`node_id`/],
  ["Cluster/RestartReplica", { ...C, nodeId: 9 }, "INVALID", /./],
  ["Cluster/TransferLeader", { ...C, nodeId: 3 }, "INVALID", /no replica/],
] as const)("%s %#", async (path, request, code, words) => {
  const told = outcome(await grpc.call(path, request));
  expect(told[1]).toBe(code);
  if (typeof words === "string") expect(told[2]).toBe(words);
  else expect(told[2]).toMatch(words);
});
