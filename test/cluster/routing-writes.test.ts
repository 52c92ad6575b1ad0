import { afterEach, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import {
  MANAGER,
  between,
  patient,
  start,
  stop,
  upsert,
  world,
  writesOf,
  writing,
} from "./routing-support.ts";

afterEach(stop);

describe("creating a collection", () => {
  test("replicas go to the nodes with the fewest, and each shard is led by another node", async () => {
    await start(4, { shardNumber: 4, replicationFactor: 2 });
    const placement = world().catalogue.collection("c")?.placement ?? [];
    expect(placement.map(({ founders }) => founders[0]).sort()).toEqual([1, 2, 3, 4]);
    const held = placement.flatMap(({ replicas }) => replicas.map(({ node }) => node)).sort();
    expect(held).toEqual([1, 1, 2, 2, 3, 3, 4, 4]);
  });

  test("there are as many replicas as nodes when the target is higher", async () => {
    await start(2, { replicationFactor: 3 });
    expect(world().catalogue.collection("c")?.placement[0]?.founders).toHaveLength(2);
  });

  test("any node takes the command, and a refusal reads the same", async () => {
    await start(3);
    const again = { ...world().catalogue.collection("c")!, shardNumber: 1 };
    await expect(
      world().router(3).createCollection(again, { signal: patient(), caller: MANAGER }),
    ).rejects.toMatchObject({
      code: "COLLECTION_EXISTS",
    });
    await world()
      .router(2)
      .changeAliases([{ kind: "create", alias: "a", collection: "c" }], {
        signal: patient(),
        caller: MANAGER,
      });
    expect(world().router(3).collection("a")?.name).toBe("c");
    expect(await world().router(3).deleteCollection("c", { signal: patient(), caller: MANAGER })).toBe(true);
    expect(await world().router(2).deleteCollection("c", { signal: patient(), caller: MANAGER })).toBe(false);
  });
});

describe("writes", () => {
  test("any node takes a write, and it goes into the leader's log once", async () => {
    const groups = await start(3, { shardNumber: 3 });
    for (const node of [1, 2, 3]) {
      const receipt = await world()
        .router(node)
        .write("c", [upsert(node, node + 10, node + 20)], writing());
      expect(receipt.duplicate).toBe(false);
    }
    const counts = writesOf(groups);
    expect([...counts.values()]).toEqual(Array(9).fill(1));
  });

  test("a node without a replica finds the leader by asking, and remembers it", async () => {
    const [group = 0] = await start(3, { replicationFactor: 1 });
    const leader = world().group(group).leader ?? 0;
    const [outsider = 0] = [1, 2, 3].filter((node) => node !== leader);
    const asked: number[] = [];
    world().fault = (_, to, method) => {
      if (method === "propose") asked.push(to);
      return null;
    };
    await world()
      .router(outsider)
      .write("c", [upsert(1)], writing());
    asked.length = 0;
    await world()
      .router(outsider)
      .write("c", [upsert(2)], writing());
    expect(asked).toEqual([leader]);
  });

  test("with redirect a node that knows nothing of the shard finds out who leads", async () => {
    const [group = 0] = await start(4);
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !world().group(group).members.includes(node));
    const refused = world()
      .router(outsider)
      .write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(refused).rejects.toMatchObject({
      code: "NOT_LEADER",
      details: { leader: { nodeId: world().group(group).leader, term: world().group(group).term } },
    });
    // The second time it knows who, and of which term it must ask again.
    const { leader } = world().group(group);
    world().lead(group, leader);
    await expect(
      world()
        .router(outsider)
        .write("c", [upsert(1)], { ...writing(), redirect: true }),
    ).rejects.toMatchObject({ details: { leader: { nodeId: leader, term: world().group(group).term } } });
  });

  test("with redirect nothing is written elsewhere: the answer says who leads", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    const refused = world()
      .router(1)
      .write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(refused).rejects.toMatchObject({
      code: "NOT_LEADER",
      details: { shard: 0, leader: { nodeId: 2, http: "http-2", term: 2 } },
    });
    expect(world().group(group).entries).toEqual([]);
    await world()
      .router(2)
      .write("c", [upsert(1)], { ...writing(), redirect: true });
    world().lead(group, null);
    const nobody = world()
      .router(1)
      .write("c", [upsert(1)], { ...writing(), redirect: true });
    await expect(nobody).rejects.toMatchObject({ code: "NO_LEADER", details: { retryAfter: 1 } });
  });

  test("the leader moves while the write is on its way: it follows", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    between(2, (own) => ({
      propose: (request, context) => {
        if (world().group(group).leader === 2) world().lead(group, 3);
        return own.propose(request, context);
      },
    }));
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
  });

  test("an answer lost after the effect: the write is repeated under its name and counts once", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    let lost = 0;
    world().fault = (_, __, method) => (method === "propose" && lost++ === 0 ? "lost" : null);
    const receipt = await world()
      .router(1)
      .write("c", [upsert(1)], writing({ idempotencyKey: "k" }));
    // The key was not seen before: what was there already was this very request.
    expect(receipt).toEqual({ indexes: [{ shard: 0, index: 1 }], duplicate: false });
    expect(world().group(group).entries).toHaveLength(2);
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
    const again = await world()
      .router(3)
      .write("c", [upsert(1)], writing({ idempotencyKey: "k" }));
    expect(again).toEqual({ ...receipt, duplicate: true });
  });

  test("the leader is killed after the effect: its successor is asked under the same name", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    between(2, (own) => ({
      propose: async (request, context) => {
        await own.propose(request, context);
        world().node(2).stop();
        world().lead(group, 3);
        return await new Promise(() => undefined);
      },
    }));
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
    expect(world().group(group).entries).toHaveLength(2);
  });

  test("a leader whose consensus thread ends may have taken the write: it is repeated, or its outcome is unknown", async () => {
    const [group = 0] = await start(3);
    const gone = () => Object.assign(new Error("the consensus thread ended"), { code: "THREAD_GONE" });
    world().lead(group, 2);
    world().onProposed = (_, node) => {
      if (node !== 2) return;
      world().lead(group, 3);
      throw gone();
    };
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));

    world().lead(group, 2);
    const deadline = new AbortController();
    world().onProposed = () => {
      world().lead(group, null);
      setImmediate(() => deadline.abort(new ApiError("DEADLINE_EXCEEDED", "too late")));
      throw gone();
    };
    const write = world()
      .router(1)
      .write("c", [upsert(2)], writing({ signal: deadline.signal }));
    await expect(write).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
  });

  test("a leader that hangs is not waited for once another one leads", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    between(2, () => ({
      propose: () => {
        world().lead(group, 3);
        return new Promise(() => undefined);
      },
    }));
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    expect(writesOf([group])).toEqual(new Map([[1, 1]]));
  });

  test("the outcome is unknown only when the deadline ends with a send in doubt", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    const late = new ApiError("DEADLINE_EXCEEDED", "too late");
    for (const [fault, code] of [
      ["lost", "OUTCOME_UNKNOWN"],
      ["refused", "DEADLINE_EXCEEDED"],
    ] as const) {
      const deadline = new AbortController();
      let tries = 0;
      world().fault = (_, __, method) => {
        if (method !== "propose") return null;
        if (++tries === 5) deadline.abort(late);
        return fault;
      };
      const write = world()
        .router(1)
        .write("c", [upsert(1)], writing({ signal: deadline.signal }));
      await expect(write).rejects.toMatchObject({ code });
    }
  });

  test("nobody leads for long: the client hears so, and nothing was changed", async () => {
    const [group = 0] = await start(3);
    world().lead(group, null);
    await expect(
      world()
        .router(1)
        .write("c", [upsert(1)], writing()),
    ).rejects.toMatchObject({
      code: "NO_LEADER",
      details: { retryAfter: 1 },
    });
    expect(world().group(group).entries).toEqual([]);
  });

  test("what is waited for is named when the deadline ends, and so is who could not be reached", async () => {
    const [group = 0] = await start(3);
    world().lead(group, null);
    const deadline = new AbortController();
    let tries = 0;
    world().fault = (_, __, method) => {
      if (method === "propose" && ++tries === 3)
        setImmediate(() => deadline.abort(new ApiError("DEADLINE_EXCEEDED", "too late")));
      return "refused";
    };
    const router = world().router(1);
    await expect(router.write("c", [upsert(1)], writing({ signal: deadline.signal }))).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
      message: expect.stringMatching(/^too late while shard 0 had no leader \(.+\)$/),
    });
    await expect(router.write("c", [upsert(1)], writing())).rejects.toMatchObject({
      code: "NO_LEADER",
      message: expect.stringMatching(/shard 0 has no leader at the moment \(.+\)$/),
    });
    world().lead(0, null);
    const options = { signal: patient(), caller: MANAGER };
    await expect(router.changeAliases([], options)).rejects.toMatchObject({
      code: "NO_LEADER",
      message: expect.stringContaining("the catalogue has no leader"),
      details: { retryAfter: 1 },
    });
  });

  test("a batch that fails on one shard says what happened on each", async () => {
    const groups = await start(3, { shardNumber: 2 });
    world().lead(groups[1] ?? 0, null);
    const thrown: unknown = await world()
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
    world().fault = (_, __, method) => {
      if (method !== "propose") return null;
      return ([null, null, "refused", "lost"] as const)[dice(4)] ?? null;
    };
    world().onProposed = (group) => {
      if (group !== 0 && dice(4) === 0) world().lead(group, dice(5) === 0 ? null : 1 + dice(3));
      if (world().group(group).leader === null) setImmediate(() => world().lead(group, 1 + dice(3)));
    };
    const ids = Array.from({ length: 60 }, (_, at) => at);
    await Promise.all(
      ids.map((id) =>
        world()
          .router(1 + (id % 3))
          .write("c", [upsert(id)], writing()),
      ),
    );
    const counts = writesOf(groups);
    expect([...counts.keys()].sort((a, b) => Number(a) - Number(b))).toEqual(ids);
    expect([...counts.values()]).toEqual(ids.map(() => 1));
  });
});
