import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { CITY, errorOf, startRest, type Rest } from "../support/rest.ts";

async function withCity(): Promise<Rest> {
  const rest = await startRest();
  expect((await rest.call("PUT", "/collections/city", { ...CITY, shard_number: 2 })).status).toBe(200);
  return rest;
}

describe("nodes", () => {
  test("are listed with where they are and what they hold", async () => {
    await using rest = await startRest();
    const { body } = await rest.call("GET", "/nodes");
    expect(body.result).toMatchObject({
      nodes: [
        { node_id: 1, alive: true, role: "voter", leader_of: 0, replicas: 0 },
        { node_id: 2 },
        { node_id: 3 },
      ],
    });
    expect((await rest.call("GET", "/leader")).body.result).toMatchObject({ node_id: 1 });
  });

  test("leave when told to, and one that does not exist is an error", async () => {
    await using rest = await startRest();
    expect((await rest.call("DELETE", "/nodes/3")).body.result).toBe(true);
    expect((await rest.call("GET", "/nodes")).body.result).toMatchObject({
      nodes: [{ state: "active" }, { state: "active" }, { state: "leaving" }],
    });
    expect(errorOf(await rest.call("DELETE", "/nodes/9"))).toMatchObject({ code: "INVALID" });
    expect(errorOf(await rest.call("DELETE", "/nodes/x"))).toMatchObject({ code: "BAD_REQUEST" });
  });
});

describe("shards", () => {
  test("show their replicas; one of them can be asked for alone", async () => {
    await using rest = await withCity();
    const { body } = await rest.call("GET", "/collections/city/shards");
    const shards = (body.result as { readonly shards: readonly unknown[] }).shards;
    expect(shards).toMatchObject([
      { shard: 0, leader: 1, replicas: [{ node_id: 1, role: "leader", state: "active", error: null }] },
      { shard: 1 },
    ]);
    expect((await rest.call("GET", "/collections/city/shards/1")).body.result).toEqual(shards[1]);
    const missing = await rest.call("GET", "/collections/city/shards/2");
    expect([missing.status, errorOf(missing).code]).toEqual([404, "SHARD_NOT_FOUND"]);
    expect((await rest.call("GET", "/collections/none/shards")).status).toBe(404);
  });

  test("gain and lose voters, and pass their leadership on", async () => {
    await using rest = await withCity();
    const voters = "/collections/city/shards/0/voters";
    expect((await rest.call("POST", voters, { node_id: 2 })).body.result).toBe(true);
    expect(errorOf(await rest.call("POST", voters, { node_id: 2 }))).toMatchObject({ code: "CONFLICT" });
    expect(errorOf(await rest.call("POST", voters, { node_id: 9 }))).toMatchObject({ code: "INVALID" });
    expect(errorOf(await rest.call("POST", voters, { node: 2 }))).toMatchObject({ code: "BAD_REQUEST" });
    expect((await rest.call("POST", "/collections/city/shards/0/leader", { node_id: 2 })).status).toBe(200);
    expect((await rest.call("GET", "/collections/city/shards/0")).body.result).toMatchObject({ leader: 2 });
    const restart = "/collections/city/shards/0/restart";
    expect((await rest.call("POST", restart, { node_id: 2 })).body.result).toBe(true);
    expect((await rest.call("POST", restart, {})).status).toBe(200);
    expect(errorOf(await rest.call("POST", restart, { node_id: 3 }))).toMatchObject({ code: "INVALID" });
    expect((await rest.call("DELETE", `${voters}/1?wait=false`)).status).toBe(200);
    expect(errorOf(await rest.call("DELETE", `${voters}/2`))).toMatchObject({ code: "CONFLICT" });
  });
});

describe("in Qdrant's words", () => {
  test("the cluster has peers and a leader", async () => {
    await using rest = await startRest();
    expect((await rest.call("GET", "/cluster")).body.result).toMatchObject({
      status: "enabled",
      peer_id: 1,
      peers: { 1: { uri: "http://127.0.0.1:8001" } },
      raft_info: { leader: 1, role: "Leader", is_voter: true },
    });
  });

  test("a replica is made, moved and dropped", async () => {
    await using rest = await withCity();
    const path = "/collections/city/cluster";
    const change = async (body: object): Promise<number> => (await rest.call("POST", path, body)).status;
    expect(await change({ replicate_shard: { shard_id: 0, from_peer_id: 1, to_peer_id: 2 } })).toBe(200);
    expect(await change({ move_shard: { shard_id: 0, from_peer_id: 1, to_peer_id: 3 } })).toBe(200);
    expect(await change({ drop_replica: { shard_id: 0, peer_id: 2 } })).toBe(200);
    expect((await rest.call("GET", path)).body.result).toMatchObject({
      peer_id: 1,
      shard_count: 2,
      local_shards: [{ shard_id: 1, state: "Active" }],
      remote_shards: [{ shard_id: 0, peer_id: 3, state: "Active" }],
    });
    const move = { shard_id: 0, from_peer_id: 2, to_peer_id: 1 };
    expect(errorOf(await rest.call("POST", path, { move_shard: move }))).toMatchObject({ code: "INVALID" });
    expect((await rest.call("GET", path)).body.result).toMatchObject({ remote_shards: [{ peer_id: 3 }] });
    const none = await rest.call("POST", path, { move_shard: { ...move, shard_id: 9 } });
    expect(errorOf(none)).toMatchObject({ code: "SHARD_NOT_FOUND" });
    expect(errorOf(await rest.call("POST", path, {}))).toMatchObject({ code: "BAD_REQUEST" });
    expect(errorOf(await rest.call("POST", path, { start_resharding: {} }))).toMatchObject({
      code: "UNSUPPORTED",
    });
  });
});

describe("aliases", () => {
  test("stand for their collection, and change all or none", async () => {
    await using rest = await withCity();
    const change = (...actions: object[]) => rest.call("POST", "/collections/aliases", { actions });
    expect((await change({ create_alias: { collection_name: "city", alias_name: "town" } })).status).toBe(
      200,
    );
    expect((await rest.call("GET", "/aliases")).body.result).toEqual({
      aliases: [{ alias_name: "town", collection_name: "city" }],
    });
    expect((await rest.call("GET", "/collections/city/aliases")).body.result).toEqual({
      aliases: [{ alias_name: "town", collection_name: "city" }],
    });
    const points = { points: [{ id: 1, vector: [1, 2, 3, 4] }] };
    expect((await rest.call("PUT", "/collections/town/points", points)).status).toBe(200);
    const both = await change(
      { rename_alias: { old_alias_name: "town", new_alias_name: "place" } },
      { delete_alias: { alias_name: "nobody" } },
    );
    expect(both.status).toBe(404);
    expect((await rest.call("GET", "/collections/town/exists")).body.result).toEqual({ exists: true });
    expect(errorOf(await change({ swap_alias: {} }))).toMatchObject({ code: "BAD_REQUEST" });
  });
});

describe("what the catalogue's log could not hold is refused before it gets there:", () => {
  test.each<[method: string, path: string, body: object | undefined, word: string]>([
    ["DELETE", "/nodes/0", undefined, "a node id is a whole number from 1 to 65535, not 0"],
    ["DELETE", "/nodes/4294967296", undefined, "not 4294967296"],
    ["POST", "/collections/city/shards/0/voters", { node_id: 65_536 }, "not 65536"],
    ["DELETE", "/collections/city/shards/0/voters/65536", undefined, "not 65536"],
    ["POST", "/collections/city/shards/0/leader", { node_id: 65_536 }, "not 65536"],
    ["POST", "/collections/city/cluster", { drop_replica: { shard_id: 0, peer_id: 2 ** 32 } }, "node id"],
    [
      "POST",
      "/collections/aliases",
      { actions: [{ delete_alias: { alias_name: "x".repeat(600) } }] },
      "length of the name",
    ],
  ])("%s %s", async (method, path, body, word) => {
    await using rest = await withCity();
    const answer = await rest.call(method, path, body);
    expect([answer.status, errorOf(answer).code]).toEqual([422, "INVALID"]);
    expect(errorOf(answer).error).toContain(word);
  });
});

describe("a redirect", () => {
  test("names the leader, and the same path there without the wish to be redirected", async () => {
    await using rest = await withCity();
    const leader = { nodeId: 2, http: "10.0.0.2:6333", grpc: "10.0.0.2:6334", term: 7 };
    rest.cluster.failNext(
      new ApiError("NOT_LEADER", "Not the leader: node 2 leads shard 0", { leader, shard: 0 }),
    );
    const body = { points: [{ id: 1, vector: [1, 2, 3, 4] }] };
    const answer = await rest.call("PUT", "/collections/city/points?redirect=true&wait=true", body);
    expect(answer.status).toBe(307);
    expect(answer.headers.get("location")).toBe("http://10.0.0.2:6333/collections/city/points?wait=true");
    expect(answer.body).toMatchObject({
      status: { code: "NOT_LEADER" },
      leader: { node_id: 2, http: "10.0.0.2:6333", grpc: "10.0.0.2:6334", term: 7 },
      shard: 0,
    });
    expect(rest.cluster.lastWrite?.redirect).toBe(true);
  });
});
