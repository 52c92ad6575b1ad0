import { afterEach, describe, expect, test, vi } from "vitest";
import { LogIndex, Term, type ProposalOutcome } from "../../shards/index.ts";
import { ApiError } from "../../src/api/errors.ts";
import { MANAGER, patient, reading, start, stop, upsert, world, writing } from "./routing-support.ts";

afterEach(stop);

const PROPOSAL = (group: number) =>
  ({
    group,
    data: new Uint8Array(1),
    wait: "applied",
    timeoutMs: 1_000,
    caller: MANAGER,
    adds: true,
  }) as const;

describe("what an operator sees and asks for", () => {
  test("shards and nodes as all reachable nodes report them; the others are shown as such", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    await world()
      .router(1)
      .write("c", [upsert(1, 2)], writing());
    world().fault = (_, to) => (to === 3 ? "refused" : null);
    const [shard] = await world().router(1).shardViews("c", { signal: patient(), caller: MANAGER });
    expect(shard).toMatchObject({ shard: 0, group, term: 2, leader: 2 });
    expect(shard?.replicas).toMatchObject([
      { nodeId: 1, role: "voter", state: "active", applied: 1, match: 1, lag: 0, points: 2 },
      { nodeId: 2, role: "leader", state: "active", applied: 1, match: 1, hashIndex: 1 },
      { nodeId: 3, role: "voter", state: "unreachable", applied: null, points: null },
    ]);
    const nodes = await world().router(1).nodes({ signal: patient(), caller: MANAGER });
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
    await world().router(3).transferLeader("c", 0, 3, { signal: patient(), caller: MANAGER });
    expect(world().group(group).leader).toBe(3);
    expect(world().router(1).leaderOf("c", 0)).toMatchObject({ nodeId: 3, grpc: world().node(3).address });
    await world().router(1).transferLeader("c", 0, 3, { signal: patient(), caller: MANAGER });
    expect(world().group(group).term).toBe(2);
  });

  test("leadership is not handed to a node that does not answer, and a deadline reads the same on any node", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    world().silent.add(3);
    for (const asked of [1, 2])
      await expect(
        world().router(asked).transferLeader("c", 0, 3, { signal: patient(), caller: MANAGER }),
      ).rejects.toMatchObject({
        code: "CONFLICT",
        message: expect.stringContaining("node 3 does not answer node 2, which leads shard 0"),
      });
    expect(world().group(group).leader).toBe(2);
    world().silent.clear();
    for (const asked of [1, 2]) {
      const deadline = new AbortController();
      world().transferStalls = () => deadline.abort(new ApiError("DEADLINE_EXCEEDED", "late"));
      await expect(
        world().router(asked).transferLeader("c", 0, 3, { signal: deadline.signal, caller: MANAGER }),
      ).rejects.toMatchObject({
        code: "DEADLINE_EXCEEDED",
        message: expect.stringContaining("node 3 did not take over shard 0 in time"),
      });
    }
  });

  test("a replica is restarted on the node asked or on another, after its leadership moved away", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 2);
    await world().router(1).restartReplica("c", 0, 2, { signal: patient(), caller: MANAGER });
    expect(world().node(2).restarted).toEqual([group]);
    expect(world().group(group).leader).not.toBe(2);
    world().lead(group, 2);
    await world().router(3).restartReplica("c", 0, null, { signal: patient(), caller: MANAGER });
    expect(world().node(3).restarted).toEqual([group]);
    expect(world().group(group).leader).toBe(2);
  });

  test("a replica that was withdrawn serves nobody, until it is restarted", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 1);
    await world()
      .router(1)
      .write("c", [upsert(1, 2)], writing());
    const eventual = reading({ level: "eventual" });
    const router = world().router(3);
    const shardOn3 = async () =>
      (await world().router(1).shardViews("c", { signal: patient() }))[0]?.replicas[2];
    expect(await router.count("c", eventual)).toBe(2);
    expect(await router.ask(3, "withdraw", { group, why: "diverged: as of entry 9" }, 1_000)).toEqual({
      kind: "done",
    });
    expect(await shardOn3()).toMatchObject({ state: "failed", error: "diverged: as of entry 9" });
    const asked: string[] = [];
    world().fault = (from, to, method) => {
      asked.push(`${from}-${to} ${method}`);
      return null;
    };
    expect(await router.count("c", eventual)).toBe(2);
    expect(asked.filter((call) => call.endsWith(" count"))).toHaveLength(1);
    expect(await world().router(1).ask(3, "propose", PROPOSAL(group), 1_000)).toEqual({
      kind: "stopped",
      why: "diverged: as of entry 9",
    });
    // The same for what reaches it without another node: what it would say of the entry is not to be relied on.
    world().lead(group, 3);
    const deadline = new AbortController();
    const proposed: number[] = [];
    world().onProposed = (_, node) => {
      proposed.push(node);
    };
    setImmediate(() => setImmediate(() => deadline.abort(new ApiError("DEADLINE_EXCEEDED", "too late"))));
    await expect(router.write("c", [upsert(3)], writing({ signal: deadline.signal }))).rejects.toMatchObject({
      code: "DEADLINE_EXCEEDED",
    });
    expect(proposed).toEqual([]);
    // As closing it does.
    world().node(3).roles.forget(group);
    world().lead(group, 1);
    expect(await shardOn3()).toMatchObject({ state: "active", error: null });
  });

  test("a leader that was withdrawn hands its office over: the planner waits for that before it removes it", async () => {
    const [group = 0] = await start(3);
    world().lead(group, 1);
    await world().router(2).ask(1, "withdraw", { group, why: "diverged: as of entry 9" }, 1_000);
    const transfer = { group, to: 3, timeoutMs: 1_000, caller: null };
    expect(await world().router(2).ask(1, "transfer", transfer, 1_000)).toEqual({ kind: "done" });
    expect(world().group(group).leader).toBe(3);
    expect(await world().router(2).ask(1, "transfer", transfer, 1_000)).toEqual({
      kind: "refused",
      why: "node 1 does not lead it",
    });
  });

  test("a restart that cannot be, or does not succeed, says why", async () => {
    const [group = 0] = await start(3, { replicationFactor: 2 });
    const members = world().group(group).members;
    const [outsider = 0] = [1, 2, 3].filter((node) => !members.includes(node));
    const [member = 0] = members;
    const router = world().router(outsider);
    const options = { signal: patient(), caller: MANAGER };
    await expect(router.restartReplica("c", 0, null, options)).rejects.toMatchObject({
      code: "INVALID",
      message: expect.stringContaining(`no replica on node ${outsider}`),
    });
    await expect(router.restartReplica("c", 7, member, options)).rejects.toMatchObject({
      code: "SHARD_NOT_FOUND",
    });
    world().node(member).restartFault = new Error("the disk still fails");
    await expect(router.restartReplica("c", 0, member, options)).rejects.toMatchObject({
      code: "SHARD_FAILED",
      message: expect.stringContaining("the disk still fails"),
    });
  });

  test("changes of voters that make no sense are refused with the reason", async () => {
    await start(4, { replicationFactor: 2 });
    const members = world().catalogue.collection("c")?.placement[0]?.founders ?? [];
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node));
    const router = world().router(outsider);
    const options = { wait: false, signal: patient(), caller: MANAGER };
    const refused = (work: Promise<void>, code: string, message: string) =>
      expect(work).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    await refused(router.addVoter("c", 7, 1, options), "SHARD_NOT_FOUND", "Shard 7 of collection");
    await refused(router.addVoter("c", 0, 9, options), "INVALID", "no node 9");
    await refused(router.addVoter("c", 0, members[0] ?? 0, options), "CONFLICT", "votes in shard 0 already");
    await refused(router.removeVoter("c", 0, outsider, options), "INVALID", "no replica");
    await refused(router.transferLeader("c", 0, outsider, options), "INVALID", "no replica");
    await router.addVoter("c", 0, outsider, options);
    expect(world().catalogue.collection("c")?.placement[0]).toMatchObject({ wanted: 3 });
    const [other = 0] = [1, 2, 3, 4].filter((node) => !members.includes(node) && node !== outsider);
    await refused(router.addVoter("c", 0, other, options), "CONFLICT", "another change of shard 0");
    await refused(router.removeVoter("c", 0, members[0] ?? 0, options), "CONFLICT", "another change");
    await refused(
      router.addVoter("c", 0, other, options),
      "CONFLICT",
      `its replica on node ${outsider} does not vote yet. Ask again when it has ended, or remove the voter on ` +
        `node ${outsider} again to give it up`,
    );
    // One that never came to vote is simply not wanted any more.
    await router.removeVoter("c", 0, outsider, options);
    expect(
      world()
        .catalogue.collection("c")
        ?.placement[0]?.replicas.map(({ node }) => node),
    ).toEqual(members);
  });

  test("a change of voters that its leader does not take or cannot finish says what became of it", async () => {
    const [group = 0] = await start(3);
    const at = { term: Term(1), index: LogIndex(7) };
    const outcomes: readonly [ProposalOutcome, string, string][] = [
      [{ kind: "dropped", why: "refusedByCore" }, "CONFLICT", "another change of shard 0 is in progress"],
      [{ kind: "notLeader", leader: null }, "NO_LEADER", "shard 0 has no leader"],
      [{ kind: "overwritten", ...at }, "NO_LEADER", "shard 0 has no leader"],
      [{ kind: "dropped", why: "overloaded" }, "OVERLOADED", "shard 0"],
      [{ kind: "unknown", ...at, why: "deadline" }, "OUTCOME_UNKNOWN", "may still happen"],
      [{ kind: "stopped", why: "it is closed" }, "NOT_READY", "it is closed"],
    ];
    for (const [outcome, code, message] of outcomes) {
      world().group(group).changeOutcome = outcome;
      const leader = world().group(group).leader ?? 0;
      const follower = [1, 2, 3].find((node) => node !== leader) ?? 0;
      // Told by the leader's own router and by another one that asked it.
      for (const asked of [leader, follower])
        await expect(
          world().router(asked).removeVoter("c", 0, follower, {
            wait: false,
            signal: patient(),
            caller: MANAGER,
          }),
        ).rejects.toMatchObject({ code, message: expect.stringContaining(message) });
    }
    expect(world().catalogue.collection("c")?.placement[0]?.replicas).toHaveLength(3);
  });

  test("with wait, adding a voter ends when it votes", async () => {
    const [group = 0] = await start(4);
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !world().group(group).members.includes(node));
    // The controller's part: what the catalogue asks for is done a little later.
    let asked = 0;
    world().fault = (_, __, method) => {
      if (method === "groups" && ++asked === 12) world().group(group).members = [1, 2, 3, 4];
      return null;
    };
    await world()
      .router(outsider)
      .addVoter("c", 0, outsider, { wait: true, signal: patient(), caller: MANAGER });
    expect(asked).toBeGreaterThanOrEqual(12);
    expect(world().catalogue.collection("c")?.placement[0]?.replicas).toContainEqual({
      node: outsider,
      founding: false,
    });
  });

  test("a voter that leads hands over before it goes, and votes no more before its copy does", async () => {
    const [group = 0] = await start(3);
    const leader = world().group(group).leader ?? 0;
    const [from = 0] = [1, 2, 3].filter((node) => node !== leader);
    await world()
      .router(from)
      .removeVoter("c", 0, leader, { wait: true, signal: patient(), caller: MANAGER });
    expect(world().group(group).members).not.toContain(leader);
    expect(world().group(group).leader).not.toBe(leader);
    const placement = world().catalogue.collection("c")?.placement[0];
    expect(placement?.replicas.map(({ node }) => node)).not.toContain(leader);
    expect(placement?.wanted).toBe(2);
    await world()
      .router(leader)
      .write("c", [upsert(1)], writing());
    expect(await world().router(leader).count("c", reading())).toBe(1);
  });

  test("of two voters that are asked for at once one is added, and the other refused for it", async () => {
    await start(4, { replicationFactor: 2 });
    const placed = () => world().catalogue.collection("c")?.placement[0];
    const [first = 0, second = 0] = [1, 2, 3, 4].filter((node) => !(placed()?.founders ?? []).includes(node));
    const options = { wait: false, signal: patient(), caller: MANAGER };
    const ends = await Promise.allSettled([
      world().router(first).addVoter("c", 0, first, options),
      world().router(second).addVoter("c", 0, second, options),
    ]);
    const refused = ends.flatMap((end) => (end.status === "rejected" ? [end.reason as unknown] : []));
    expect(refused).toMatchObject([
      { code: "CONFLICT", message: expect.stringContaining("another change of shard 0") },
    ]);
    expect([placed()?.replicas.length, placed()?.wanted]).toEqual([3, 3]);
  });

  test("who waits for a voter that is removed before it votes is told so", async () => {
    await start(4);
    const founders = world().catalogue.collection("c")?.placement[0]?.founders ?? [];
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !founders.includes(node));
    const options = { signal: patient(), caller: MANAGER };
    const adding = world()
      .router(1)
      .addVoter("c", 0, outsider, { ...options, wait: true });
    const refused = expect(adding).rejects.toMatchObject({
      code: "CONFLICT",
      message: expect.stringContaining(`on node ${outsider} was removed before it voted`),
    });
    await vi.waitFor(() => expect(world().catalogue.collection("c")?.placement[0]?.wanted).toBe(4));
    await world()
      .router(2)
      .removeVoter("c", 0, outsider, { ...options, wait: false });
    await refused;
  });

  test("a wait that the deadline ends says that the change goes on", async () => {
    await start(4);
    const founders = world().catalogue.collection("c")?.placement[0]?.founders ?? [];
    const [outsider = 0] = [1, 2, 3, 4].filter((node) => !founders.includes(node));
    const deadline = new AbortController();
    let asked = 0;
    world().fault = (_, __, method) => {
      if (method === "groups" && ++asked === 12) deadline.abort(new ApiError("DEADLINE_EXCEEDED", "late"));
      return null;
    };
    const adding = world().router(1).addVoter("c", 0, outsider, { wait: true, signal: deadline.signal });
    await expect(adding).rejects.toMatchObject({ code: "OUTCOME_UNKNOWN" });
    expect(world().catalogue.collection("c")?.placement[0]?.wanted).toBe(4);
  });

  test("the last replica is not taken away", async () => {
    await start(1);
    await expect(
      world().router(1).removeVoter("c", 0, 1, { wait: false, signal: patient(), caller: MANAGER }),
    ).rejects.toMatchObject({ code: "CONFLICT", message: expect.stringContaining("last replica") });
  });
});
