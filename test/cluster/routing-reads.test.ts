import { afterEach, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { between, reading, start, stop, upsert, world, writing } from "./routing-support.ts";

afterEach(stop);

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
    await world()
      .router(1)
      .write("c", [upsert(...Array.from({ length: 30 }, (_, at) => at))], writing());
    for (const node of [1, 2, 3]) {
      const [hits = []] = await world()
        .router(node)
        .search("c", [query(5, 2)], reading());
      expect(hits.map(({ id }) => id)).toEqual([27, 26, 25, 24, 23]);
      expect(hits[0]?.vector).toEqual(new Float32Array([27, 1]));
      expect(await world().router(node).count("c", reading())).toBe(30);
      const shape = { withPayload: { kind: "none" }, withVector: false } as const;
      const page = await world()
        .router(node)
        .scroll("c", { ...shape, from: 10, limit: 3 }, reading());
      expect(page.points.map(({ id }) => id)).toEqual([10, 11, 12]);
      expect(page.next).toBe(13);
      const found = await world().router(node).retrieve("c", [29, 99, 3], shape, reading());
      expect(found.map(({ id }) => id)).toEqual([29, 3]);
    }
  });

  test("a read stays on this node when its replica is as fresh as wanted", async () => {
    const [group = 0] = await start(3);
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    world().lead(group, 2);
    const asked: number[] = [];
    world().fault = (_, to) => {
      asked.push(to);
      return null;
    };
    for (const consistency of [
      { level: "eventual" },
      { level: "session", atLeast: [{ shard: 0, index: 1 }] },
      { level: "linearizable" },
    ] as const) {
      expect(await world().router(3).count("c", reading(consistency))).toBe(1);
    }
    expect(asked).toEqual([]);
    expect(
      await world()
        .router(3)
        .count("c", reading({ level: "leader" })),
    ).toBe(1);
    expect(asked).toEqual([2]);
  });

  test("a replica that is behind is read by eventual only; a session goes to another one", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    await world()
      .router(2)
      .write("c", [upsert(1)], writing());
    world().group(group).held.set(3, 1);
    const { indexes } = await world()
      .router(2)
      .write("c", [upsert(2)], writing());
    expect(
      await world()
        .router(3)
        .count("c", reading({ level: "eventual" })),
    ).toBe(1);
    expect(
      await world()
        .router(3)
        .count("c", reading({ level: "session", atLeast: indexes })),
    ).toBe(2);
    expect(
      await world()
        .router(3)
        .count("c", reading({ level: "linearizable" })),
    ).toBe(2);
    expect(
      await world()
        .router(3)
        .count("c", reading({ level: "leader" })),
    ).toBe(2);
  });

  test("a replica that was placed and has received nothing yet answers nobody", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    await world()
      .router(2)
      .write("c", [upsert(1)], writing());
    world().group(group).held.set(3, 0);
    const session = { level: "session", atLeast: [] } as const;
    for (const consistency of [{ level: "eventual" }, session] as const)
      expect(await world().router(3).count("c", reading(consistency))).toBe(1);
    world().group(group).held.set(3, 1);
    world().fault = () => "refused";
    for (const consistency of [{ level: "eventual" }, session] as const)
      expect(await world().router(3).count("c", reading(consistency))).toBe(1);
  });

  test("a replica that cannot be reached is passed over for another one", async () => {
    const [group = 0] = await start(4);
    const members = world().group(group).members;
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node));
    await world()
      .router(outsider)
      .write("c", [upsert(1)], writing());
    for (const dead of members) {
      world().fault = (_, to) => (to === dead ? "refused" : null);
      expect(
        await world()
          .router(outsider)
          .count("c", reading({ level: "eventual" })),
      ).toBe(1);
    }
    world().fault = () => "refused";
    await expect(
      world()
        .router(outsider)
        .count("c", reading({ level: "eventual" })),
    ).rejects.toMatchObject({
      code: "NOT_READY",
    });
  });

  test("a leader that hangs is not waited for by a read once another one leads", async () => {
    const [group = 0] = await start(3);
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    world().lead(group, 2);
    between(2, () => ({
      count: () => {
        world().lead(group, 3);
        return new Promise(() => undefined);
      },
    }));
    expect(await world().router(1).count("c", reading())).toBe(1);
  });

  test("a read of the leader waits for the next one", async () => {
    const [group = 0] = await start(3);
    await world()
      .router(1)
      .write("c", [upsert(1)], writing());
    world().lead(group, null);
    const counting = world().router(1).count("c", reading());
    setImmediate(() => world().lead(group, 3));
    expect(await counting).toBe(1);
  });

  test("a read that nobody answers says what the shard lacks, not just who was asked last", async () => {
    const [group = 0] = await start(4);
    const { founders = [] } = world().catalogue.collection("c")?.placement[0] ?? {};
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !founders.includes(node));
    const router = world().router(outsider);
    world().lead(group, null);
    world().fault = () => "refused";
    await expect(router.count("c", reading())).rejects.toMatchObject({
      code: "NO_LEADER",
      message: expect.stringContaining("shard 0 has no leader at the moment"),
    });
    for (const [level, lacked] of [
      ["linearizable", "had no leader"],
      ["eventual", "had no replica that answers"],
    ] as const) {
      const deadline = new AbortController();
      let tries = 0;
      world().fault = () => {
        if (++tries === 3) setImmediate(() => deadline.abort(new ApiError("DEADLINE_EXCEEDED", "too late")));
        return "refused";
      };
      const late = router.count("c", { ...reading({ level }), signal: deadline.signal });
      await expect(late).rejects.toMatchObject({
        code: "DEADLINE_EXCEEDED",
        message: expect.stringContaining(`too late while shard 0 ${lacked}`),
      });
    }
  });

  test("a question that makes no sense is not asked again elsewhere", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    let asked = 0;
    for (const node of [2, 3]) {
      between(node, () => ({
        count: () => {
          asked++;
          return Promise.reject(new ApiError("INVALID", "no"));
        },
      }));
    }
    await expect(world().router(1).count("c", reading())).rejects.toMatchObject({ code: "INVALID" });
    expect(asked).toBe(1);
  });

  test("what the client's deadline says is what it gets", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    const deadline = new AbortController();
    const late = new ApiError("DEADLINE_EXCEEDED", "too late");
    between(2, () => ({
      count: () => {
        deadline.abort(late);
        return new Promise(() => undefined);
      },
    }));
    const asked = { consistency: { level: "leader" }, signal: deadline.signal } as const;
    await expect(world().router(1).count("c", asked)).rejects.toBe(late);
  });
});
