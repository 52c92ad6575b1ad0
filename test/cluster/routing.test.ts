import { afterEach, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import type { NodeCallHandlers } from "../../src/cluster/node-calls/contract.ts";
import type { Consistency, WriteOp } from "../../src/cluster/types.ts";
import { World } from "./world.ts";

let world: World;
afterEach(() => world.stop());

const patient = () => new AbortController().signal;
const upsert = (...ids: readonly number[]): WriteOp => ({
  kind: "upsert",
  points: ids.map((id) => ({ id, vector: new Float32Array([id, 1]), payload: null })),
});
const writing = (more: { readonly signal?: AbortSignal; readonly idempotencyKey?: string } = {}) => ({
  wait: true,
  idempotencyKey: null,
  signal: patient(),
  ...more,
});
const reading = (consistency: Consistency = { level: "leader" }) => ({ consistency, signal: patient() });

/** Nodes 1 to `nodes`, and a collection `c`. Answers the groups of its shards. */
async function start(nodes: number, shape: { shardNumber?: number; replicationFactor?: number } = {}) {
  world = await World.start(nodes);
  const made = await world.router(1).createCollection(
    {
      name: "c",
      vectors: { dimension: 2, distance: "Dot", m: 16, efConstruct: 100 },
      shardNumber: 1,
      replicationFactor: 3,
      metadata: null,
      ...shape,
    },
    { signal: patient() },
  );
  return made.shards.map(({ group }) => group);
}
/** Each point was written exactly once, on the replica that leads. */
function writesOf(groups: readonly number[]): ReadonlyMap<unknown, number> {
  return new Map(
    groups.flatMap((group) =>
      [...world.points(group, world.group(group).leader ?? 1).values()].map(({ id, writes }) => [id, writes]),
    ),
  );
}
function between(node: number, wrap: (own: NodeCallHandlers) => Partial<NodeCallHandlers>): void {
  const { handlers } = world.node(node);
  handlers.current = { ...handlers.current, ...wrap(handlers.current) };
}

describe("creating a collection", () => {
  test("replicas go to the nodes with the fewest, and each shard is led by another node", async () => {
    await start(4, { shardNumber: 4, replicationFactor: 2 });
    const placement = world.catalogue.collection("c")?.placement ?? [];
    expect(placement.map(({ founders }) => founders[0]).sort()).toEqual([1, 2, 3, 4]);
    const held = placement.flatMap(({ replicas }) => replicas.map(({ node }) => node)).sort();
    expect(held).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });

  test("there are as many replicas as nodes when the target is higher", async () => {
    await start(2, { replicationFactor: 3 });
    expect(world.catalogue.collection("c")?.placement[0]?.founders).toHaveLength(2);
  });

  test("any node takes the command, and a refusal reads the same", async () => {
    await start(3);
    const again = { ...world.catalogue.collection("c")!, shardNumber: 1 };
    await expect(world.router(3).createCollection(again, { signal: patient() })).rejects.toMatchObject({
      code: "COLLECTION_EXISTS",
    });
    await world.router(2).changeAliases([{ kind: "create", alias: "a", collection: "c" }], {
      signal: patient(),
    });
    expect(world.router(3).collection("a")?.name).toBe("c");
    expect(await world.router(3).deleteCollection("c", { signal: patient() })).toBe(true);
    expect(await world.router(2).deleteCollection("c", { signal: patient() })).toBe(false);
  });
});

describe("writes", () => {
  test("any node takes a write, and it goes into the leader's log once", async () => {
    const groups = await start(3, { shardNumber: 3 });
    for (const node of [1, 2, 3]) {
      const receipt = await world.router(node).write("c", [upsert(node, node + 10, node + 20)], writing());
      expect(receipt.duplicate).toBe(false);
    }
    const counts = writesOf(groups);
    expect([...counts.values()]).toEqual(Array(9).fill(1));
  });

  test("a node without a replica finds the leader by asking, and remembers it", async () => {
    const [group = 0] = await start(3, { replicationFactor: 1 });
    const leader = world.group(group).leader ?? 0;
    const [outsider = 0] = [1, 2, 3].filter((node) => node !== leader);
    const asked: number[] = [];
    world.fault = (_, to, method) => {
      if (method === "propose") asked.push(to);
      return null;
    };
    await world.router(outsider).write("c", [upsert(1)], writing());
    asked.length = 0;
    await world.router(outsider).write("c", [upsert(2)], writing());
    expect(asked).toEqual([leader]);
  });

  test("with redirect a node that knows nothing of the shard finds out who leads", async () => {
    const [group = 0] = await start(4);
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !world.group(group).members.includes(node));
    const refused = world.router(outsider).write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(refused).rejects.toMatchObject({
      code: "NOT_LEADER",
      details: { leader: { nodeId: world.group(group).leader } },
    });
  });

  test("with redirect nothing is written elsewhere: the answer says who leads", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    const refused = world.router(1).write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(refused).rejects.toMatchObject({
      code: "NOT_LEADER",
      details: { shard: 0, leader: { nodeId: 2, http: "http-2", term: 2 } },
    });
    expect(world.group(group).entries).toEqual([]);
    await world.router(2).write("c", [upsert(1)], { ...writing(), redirect: true });
    world.lead(group, null);
    const nobody = world.router(1).write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(nobody).rejects.toMatchObject({ code: "NO_LEADER", details: { retryAfter: 1 } });
  });

  test("the leader moves while the write is on its way: it follows", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    between(2, (own) => ({
      propose: (request, context) => {
        if (world.group(group).leader === 2) world.lead(group, 3);
        return own.propose(request, context);
      },
    }));
    await world.router(1).write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
  });

  test("an answer lost after the effect: the write is repeated under its name and counts once", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    let lost = 0;
    world.fault = (_, __, method) => (method === "propose" && lost++ === 0 ? "lost" : null);
    const receipt = await world.router(1).write("c", [upsert(1)], writing({ idempotencyKey: "k" }));
    // The key was not seen before: what was there already was this very request.
    expect(receipt).toEqual({ indexes: [{ shard: 0, index: 2 }], duplicate: false });
    expect(world.group(group).entries).toHaveLength(2);
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
    const again = await world.router(3).write("c", [upsert(1)], writing({ idempotencyKey: "k" }));
    expect(again.duplicate).toBe(true);
  });

  test("the leader is killed after the effect: its successor is asked under the same name", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    between(2, (own) => ({
      propose: async (request, context) => {
        await own.propose(request, context);
        world.node(2).stop();
        world.lead(group, 3);
        return await new Promise(() => undefined);
      },
    }));
    await world.router(1).write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
    expect(world.group(group).entries).toHaveLength(2);
  });

  test("a leader that hangs is not waited for once another one leads", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    between(2, () => ({
      propose: () => {
        world.lead(group, 3);
        return new Promise(() => undefined);
      },
    }));
    await world.router(1).write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
  });

  test("the outcome is unknown only when the deadline ends with a send in doubt", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    const late = new ApiError("DEADLINE_EXCEEDED", "too late");
    for (const [fault, code] of [
      ["lost", "OUTCOME_UNKNOWN"],
      ["refused", "DEADLINE_EXCEEDED"],
    ] as const) {
      const deadline = new AbortController();
      let tries = 0;
      world.fault = (_, __, method) => {
        if (method !== "propose") return null;
        if (++tries === 5) deadline.abort(late);
        return fault;
      };
      const write = world.router(1).write("c", [upsert(1)], writing({ signal: deadline.signal }));
      await expect(write).rejects.toMatchObject({ code });
    }
  });

  test("nobody leads for long: the client hears so, and nothing was changed", async () => {
    const [group = 0] = await start(3);
    world.lead(group, null);
    await expect(world.router(1).write("c", [upsert(1)], writing())).rejects.toMatchObject({
      code: "NO_LEADER",
      details: { retryAfter: 1 },
    });
    expect(world.group(group).entries).toEqual([]);
  });

  test("a batch that fails on one shard says what happened on each", async () => {
    const groups = await start(3, { shardNumber: 2 });
    world.lead(groups[1] ?? 0, null);
    const thrown: unknown = await world
      .router(1)
      .write("c", [upsert(1, 2, 3, 4, 5, 6, 7, 8)], writing())
      .catch((error: unknown) => error);
    expect(thrown).toMatchObject({
      code: "OUTCOME_UNKNOWN",
      message: expect.stringContaining("1 of 2 parts of this write were applied"),
      details: {
        shards: [
          { shard: 0, applied: 1, entries: 1, code: null },
          { shard: 1, applied: 0, entries: 1, code: "NO_LEADER" },
        ],
      },
    });
  });

  test.each([1, 2, 3, 4, 5])("seed %i: whatever goes wrong, every write is there once", async (seed) => {
    const groups = await start(3, { shardNumber: 2 });
    let state = seed * 2_654_435_761;
    const dice = (sides: number): number => {
      state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
      return (state >>> 8) % sides;
    };
    world.fault = (_, __, method) => {
      if (method !== "propose") return null;
      return ([null, null, "refused", "lost"] as const)[dice(4)] ?? null;
    };
    world.onProposed = (group) => {
      if (group !== 0 && dice(4) === 0) world.lead(group, dice(5) === 0 ? null : 1 + dice(3));
      if (world.group(group).leader === null) setImmediate(() => world.lead(group, 1 + dice(3)));
    };
    const ids = Array.from({ length: 60 }, (_, at) => at);
    await Promise.all(ids.map((id) => world.router(1 + (id % 3)).write("c", [upsert(id)], writing())));
    const counts = writesOf(groups);
    expect([...counts.keys()].sort((a, b) => Number(a) - Number(b))).toEqual(ids);
    expect([...counts.values()]).toEqual(ids.map(() => 1));
  });
});

describe("reads", () => {
  const query = (limit: number, offset = 0) => ({
    vector: new Float32Array([1, 0]),
    limit,
    offset,
    ef: null,
    exact: false,
    scoreThreshold: null,
    withPayload: { kind: "none" } as const,
    withVector: true,
  });

  test("a search is merged exactly over shards on different nodes, whichever node is asked", async () => {
    await start(3, { shardNumber: 3, replicationFactor: 1 });
    await world.router(1).write("c", [upsert(...Array.from({ length: 30 }, (_, at) => at))], writing());
    for (const node of [1, 2, 3]) {
      const [hits = []] = await world.router(node).search("c", [query(5, 2)], reading());
      expect(hits.map(({ id }) => id)).toEqual([27, 26, 25, 24, 23]);
      expect(hits[0]?.vector).toEqual(new Float32Array([27, 1]));
      expect(await world.router(node).count("c", reading())).toBe(30);
      const shape = { withPayload: { kind: "none" }, withVector: false } as const;
      const page = await world.router(node).scroll("c", { ...shape, from: 10, limit: 3 }, reading());
      expect(page.points.map(({ id }) => id)).toEqual([10, 11, 12]);
      expect(page.next).toBe(13);
      const found = await world.router(node).retrieve("c", [29, 99, 3], shape, reading());
      expect(found.map(({ id }) => id)).toEqual([29, 3]);
    }
  });

  test("a read stays on this node when its replica is as fresh as wanted", async () => {
    const [group = 0] = await start(3);
    await world.router(1).write("c", [upsert(1)], writing());
    world.lead(group, 2);
    const asked: number[] = [];
    world.fault = (_, to) => {
      asked.push(to);
      return null;
    };
    for (const consistency of [
      { level: "eventual" },
      { level: "session", atLeast: [{ shard: 0, index: 1 }] },
      { level: "linearizable" },
    ] as const) {
      expect(await world.router(3).count("c", reading(consistency))).toBe(1);
    }
    expect(asked).toEqual([]);
    expect(await world.router(3).count("c", reading({ level: "leader" }))).toBe(1);
    expect(asked).toEqual([2]);
  });

  test("a replica that is behind is read by eventual only; a session goes to another one", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    world.group(group).held.set(3, 0);
    const { indexes } = await world.router(2).write("c", [upsert(1)], writing());
    expect(await world.router(3).count("c", reading({ level: "eventual" }))).toBe(0);
    expect(await world.router(3).count("c", reading({ level: "session", atLeast: indexes }))).toBe(1);
    expect(await world.router(3).count("c", reading({ level: "linearizable" }))).toBe(1);
    expect(await world.router(3).count("c", reading({ level: "leader" }))).toBe(1);
  });

  test("a replica that cannot be reached is passed over for another one", async () => {
    const [group = 0] = await start(4);
    const members = world.group(group).members;
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node));
    await world.router(outsider).write("c", [upsert(1)], writing());
    for (const dead of members) {
      world.fault = (_, to) => (to === dead ? "refused" : null);
      expect(await world.router(outsider).count("c", reading({ level: "eventual" }))).toBe(1);
    }
    world.fault = () => "refused";
    await expect(world.router(outsider).count("c", reading({ level: "eventual" }))).rejects.toMatchObject({
      code: "NOT_READY",
    });
  });

  test("a leader that hangs is not waited for by a read once another one leads", async () => {
    const [group = 0] = await start(3);
    await world.router(1).write("c", [upsert(1)], writing());
    world.lead(group, 2);
    between(2, () => ({
      count: () => {
        world.lead(group, 3);
        return new Promise(() => undefined);
      },
    }));
    expect(await world.router(1).count("c", reading())).toBe(1);
  });

  test("a read of the leader waits for the next one", async () => {
    const [group = 0] = await start(3);
    await world.router(1).write("c", [upsert(1)], writing());
    world.lead(group, null);
    const counting = world.router(1).count("c", reading());
    setImmediate(() => world.lead(group, 3));
    expect(await counting).toBe(1);
  });

  test("a question that makes no sense is not asked again elsewhere", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    let asked = 0;
    for (const node of [2, 3]) {
      between(node, () => ({
        count: () => {
          asked++;
          return Promise.reject(new ApiError("INVALID", "no"));
        },
      }));
    }
    await expect(world.router(1).count("c", reading())).rejects.toMatchObject({ code: "INVALID" });
    expect(asked).toBe(1);
  });

  test("what the client's deadline says is what it gets", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    const deadline = new AbortController();
    const late = new ApiError("DEADLINE_EXCEEDED", "too late");
    between(2, () => ({
      count: () => {
        deadline.abort(late);
        return new Promise(() => undefined);
      },
    }));
    const asked = { consistency: { level: "leader" }, signal: deadline.signal } as const;
    await expect(world.router(1).count("c", asked)).rejects.toBe(late);
  });
});

describe("what an operator sees and asks for", () => {
  test("shards and nodes as all reachable nodes report them; the others are shown as such", async () => {
    const [group = 0] = await start(3);
    world.lead(group, 2);
    await world.router(1).write("c", [upsert(1, 2)], writing());
    world.fault = (_, to) => (to === 3 ? "refused" : null);
    const [shard] = await world.router(1).shardViews("c", { signal: patient() });
    expect(shard).toMatchObject({ shard: 0, group, term: 2, leader: 2 });
    expect(shard?.replicas).toMatchObject([
      { nodeId: 1, role: "voter", state: "active", applied: 1, match: 1, lag: 0, points: 2 },
      { nodeId: 2, role: "leader", state: "active", applied: 1, match: 1, hashIndex: 1 },
      { nodeId: 3, role: "voter", state: "unreachable", applied: null, points: null },
    ]);
    const nodes = await world.router(1).nodes({ signal: patient() });
    expect(nodes.map(({ nodeId, alive, leaderOf, replicas }) => [nodeId, alive, leaderOf, replicas])).toEqual(
      [
        [1, true, 0, 1],
        [2, true, 1, 1],
        [3, false, 0, 1],
      ],
    );
  });

  test("leadership is handed over from any node", async () => {
    const [group = 0] = await start(3);
    await world.router(3).transferLeader("c", 0, 3, { signal: patient() });
    expect(world.group(group).leader).toBe(3);
    expect(world.router(1).leaderOf("c", 0)).toMatchObject({ nodeId: 3, grpc: world.node(3).address });
    await world.router(1).transferLeader("c", 0, 3, { signal: patient() });
    expect(world.group(group).term).toBe(2);
  });

  test("changes of voters that make no sense are refused with the reason", async () => {
    await start(4, { replicationFactor: 2 });
    const members = world.catalogue.collection("c")?.placement[0]?.founders ?? [];
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node));
    const router = world.router(outsider);
    const options = { wait: false, signal: patient() };
    const refused = (work: Promise<void>, code: string, message: string) =>
      expect(work).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await refused(router.addVoter("c", 7, 1, options), "INVALID", "no shard 7");
    await refused(router.addVoter("c", 0, 9, options), "INVALID", "no node 9");
    await refused(router.addVoter("c", 0, members[0] ?? 0, options), "CONFLICT", "votes in shard 0 already");
    await refused(router.removeVoter("c", 0, outsider, options), "INVALID", "no replica");
    await refused(router.transferLeader("c", 0, outsider, options), "INVALID", "no replica");
    await router.addVoter("c", 0, outsider, options);
    expect(world.catalogue.collection("c")?.placement[0]).toMatchObject({ wanted: 3 });
    const [other = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node) && node !== outsider);
    await refused(router.addVoter("c", 0, other, options), "CONFLICT", "another change of shard 0");
    await refused(router.removeVoter("c", 0, members[0] ?? 0, options), "CONFLICT", "another change");
    // One that never came to vote is simply not wanted any more.
    await router.removeVoter("c", 0, outsider, options);
    expect(world.catalogue.collection("c")?.placement[0]?.replicas.map(({ node }) => node)).toEqual(members);
  });

  test("with wait, adding a voter ends when it votes", async () => {
    const [group = 0] = await start(4);
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !world.group(group).members.includes(node));
    // The controller's part: what the catalogue asks for is done a little later.
    let asked = 0;
    world.fault = (_, __, method) => {
      if (method === "groups" && ++asked === 12) world.group(group).members = [1, 2, 3, 4];
      return null;
    };
    await world.router(outsider).addVoter("c", 0, outsider, { wait: true, signal: patient() });
    expect(asked).toBeGreaterThanOrEqual(12);
    expect(world.catalogue.collection("c")?.placement[0]?.replicas).toContainEqual({
      node: outsider,
      founding: false,
    });
  });

  test("a voter that leads hands over before it goes, and votes no more before its copy does", async () => {
    const [group = 0] = await start(3);
    const leader = world.group(group).leader ?? 0;
    const [from = 0] = [1, 2, 3].filter((node) => node !== leader);
    await world.router(from).removeVoter("c", 0, leader, { wait: true, signal: patient() });
    expect(world.group(group).members).not.toContain(leader);
    expect(world.group(group).leader).not.toBe(leader);
    const placement = world.catalogue.collection("c")?.placement[0];
    expect(placement?.replicas.map(({ node }) => node)).not.toContain(leader);
    expect(placement?.wanted).toBe(2);
    await world.router(leader).write("c", [upsert(1)], writing());
    expect(await world.router(leader).count("c", reading())).toBe(1);
  });

  test("a wait that the deadline ends says that the change goes on", async () => {
    await start(4);
    const founders = world.catalogue.collection("c")?.placement[0]?.founders ?? [];
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !founders.includes(node));
    const deadline = new AbortController();
    let asked = 0;
    world.fault = (_, __, method) => {
      if (method === "groups" && ++asked === 12) deadline.abort(new ApiError("DEADLINE_EXCEEDED", "late"));
      return null;
    };
    const adding = world.router(1).addVoter("c", 0, outsider, { wait: true, signal: deadline.signal });
    await expect(adding).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(world.catalogue.collection("c")?.placement[0]?.wanted).toBe(4);
  });

  test("the last replica is not taken away", async () => {
    await start(1);
    await expect(
      world.router(1).removeVoter("c", 0, 1, { wait: false, signal: patient() }),
    ).rejects.toMatchObject({ code: "CONFLICT", message: expect.stringContaining("last replica") });
  });
});
