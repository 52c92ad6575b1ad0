import { afterEach, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { Quotas } from "../../src/api/quotas.ts";
import { Guard } from "../../src/auth/guard.ts";
import type { Principal } from "../../src/auth/permit.ts";
import type { CollectionRight, Rights } from "../../src/auth/rights.ts";
import type { CatalogueCommand } from "../../src/catalog/commands.ts";
import { MANAGER, patient, reading, start, stop, upsert, world, writing } from "./routing-support.ts";

afterEach(stop);

const principal = (rights: Rights): Principal => ({ name: "team", credential: { kind: "token" }, rights });
const over = (...list: readonly CollectionRight[]): Principal => principal({ kind: "collections", list });
const READER = over({ collection: "c", access: "r" });
const WRITER = over({ collection: "c", access: "prw" });
const OTHER = over({ collection: "d*", access: "rw" });

/** A node that has to ask the leader of `c`, and that node. */
async function apart() {
  const [group = -1] = await start(3);
  const leader = world().group(group).leader ?? -1;
  const asking = leader === 1 ? 2 : 1;
  return { group, leader, asking, router: world().router(asking) };
}

describe("the leader looks at the caller's rights again", () => {
  test("a write needs the right to write to the collection that the group belongs to", async () => {
    const { group, router } = await apart();
    for (const caller of [READER, OTHER, principal({ kind: "none" }), principal({ kind: "read" })]) {
      await expect(router.write("c", [upsert(1)], { ...writing(), caller })).rejects.toMatchObject({
        code: "FORBIDDEN",
        message: "Forbidden: this token may not write collection `c`",
      });
    }
    expect(world().group(group).entries).toHaveLength(0);
    await expect(router.write("c", [upsert(1)], { ...writing(), caller: WRITER })).resolves.toMatchObject({
      indexes: [{ shard: 0, index: 1 }],
    });
  });

  test("who sent nothing, or something wrong, is not known there either", async () => {
    const { router } = await apart();
    const nobody: Principal = { name: "", credential: { kind: "none" }, rights: { kind: "none" } };
    const expired = { ...nobody, credential: { kind: "refused", why: "the token expired" } } as const;
    await expect(router.write("c", [upsert(1)], { ...writing(), caller: nobody })).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
    });
    await expect(router.write("c", [upsert(1)], { ...writing(), caller: expired })).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
      message: "the token expired",
    });
  });

  test("a node that names nobody changes and reads nothing of a collection", async () => {
    const { group, router, leader } = await apart();
    const { caller: _, ...anonymous } = writing();
    await expect(router.write("c", [upsert(1)], anonymous)).rejects.toMatchObject({ code: "FORBIDDEN" });
    const reads = { ...reading(), caller: null };
    await expect(router.retrieve("c", [1], NOTHING, reads)).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(router.scroll("c", { ...NOTHING, from: null, limit: 1 }, reads)).rejects.toMatchObject({
      code: "FORBIDDEN",
    });
    await expect(router.search("c", [], reads)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(world().group(group).entries).toHaveLength(0);
    // Its readiness asks whether all shards answer.
    expect(leader).not.toBe(-1);
    await expect(router.count("c", reads)).resolves.toBe(0);
  });

  test("a read needs the right to read", async () => {
    const { router } = await apart();
    await router.write("c", [upsert(1, 2)], writing());
    const asked = (caller: Principal) => [
      router.count("c", { ...reading(), caller }),
      router.retrieve("c", [1], NOTHING, { ...reading(), caller }),
      router.scroll("c", { ...NOTHING, from: null, limit: 9 }, { ...reading(), caller }),
      router.search("c", [], { ...reading(), caller }),
    ];
    for (const read of asked(OTHER)) await expect(read).rejects.toMatchObject({ code: "FORBIDDEN" });
    await expect(Promise.all(asked(READER))).resolves.toHaveLength(4);
  });

  test("a right to an alias is a right to what it stands for, as long as it does", async () => {
    const { router } = await apart();
    const byAlias = { ...writing(), caller: over({ collection: "d1", access: "prw" }) };
    await expect(router.write("c", [upsert(1)], byAlias)).rejects.toMatchObject({ code: "FORBIDDEN" });
    const alias = { kind: "create", alias: "d1", collection: "c" } as const;
    await router.changeAliases([alias], { signal: patient(), caller: MANAGER });
    await expect(router.write("d1", [upsert(1)], byAlias)).resolves.toBeDefined();
    await router.changeAliases([{ kind: "delete", alias: "d1" }], { signal: patient(), caller: MANAGER });
    await expect(router.write("c", [upsert(2)], byAlias)).rejects.toMatchObject({ code: "FORBIDDEN" });
  });

  test("commands to the catalogue need the right that the command itself needs", async () => {
    await start(3);
    // Node 1 leads the catalogue.
    const router = world().router(2);
    const info = world().catalogue.collection("c");
    if (info === null) throw new Error("the collection was not made");
    const as = (caller: Principal) => ({ signal: patient(), caller });
    const settings = over({ collection: "c", access: "rw" });
    const before = world().group(0).entries.length;
    for (const refused of [
      () => router.createCollection({ ...info, name: "e", shardNumber: 1 }, as(settings)),
      () => router.deleteCollection("c", as(settings)),
      () => router.updateCollection("c", { replicationFactor: 2 }, as(settings)),
      () => router.updateCollection("c", { metadata: { a: 1 } }, as(WRITER)),
      () => router.changeAliases([{ kind: "create", alias: "x", collection: "c" }], as(settings)),
      () => router.removeNode(3, as(settings)),
    ])
      await expect(refused()).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(world().group(0).entries).toHaveLength(before);
    await router.updateCollection("c", { metadata: { a: 1 } }, as(settings));
    await router.removeNode(3, as(MANAGER));
    expect(world().group(0).entries).toHaveLength(before + 2);
  });

  test("a node keeps house by itself, and does nothing else in nobody's name", async () => {
    await start(3);
    const alone = { signal: patient() };
    const left: CatalogueCommand = { kind: "leaveNode", nodeId: 3 };
    await expect(world().router(2).command(left, alone)).resolves.toMatchObject({ kind: "node" });
    await expect(world().router(2).deleteCollection("c", alone)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(world().catalogue.collection("c")).not.toBeNull();
  });

  test("voters and leaders are changed by who may manage, and by the controller", async () => {
    const { group, leader, asking } = await apart();
    const call = (caller: Principal | null) =>
      world()
        .node(asking)
        .calls.call(
          leader,
          "transfer",
          { group, to: asking, timeoutMs: 1_000, caller },
          { timeoutMs: 5_000, signal: patient() },
        );
    await expect(call(WRITER)).rejects.toMatchObject({ code: "FORBIDDEN" });
    expect(world().group(group).leader).toBe(leader);
    await expect(call(null)).resolves.toEqual({ kind: "done" });
    // Only an operator asks for a restart.
    const restart = { group, caller: null };
    await expect(
      world().node(asking).calls.call(leader, "restart", restart, { timeoutMs: 5_000, signal: patient() }),
    ).rejects.toMatchObject({ code: "FORBIDDEN" });
  });
});

describe("a token that ends on the way", () => {
  const UNTIL = 1_700_000_000_000;
  const bounded = (caller: Principal, valid: Principal["valid"]): Principal =>
    valid === undefined ? caller : { ...caller, valid };
  const ending = (caller: Principal) => bounded(caller, { fromMs: UNTIL - 60_000, untilMs: UNTIL });
  const EXPIRED = { code: "UNAUTHENTICATED", message: expect.stringContaining("expired while") };

  test("is refused by the leader's clock, from the millisecond it ends in, whatever is asked", async () => {
    const { group, leader, asking, router } = await apart();
    const caller = ending(WRITER);
    const write = () => router.write("c", [upsert(1)], { ...writing(), caller });
    world().clock = (node) => (node === leader ? UNTIL - 1 : 0);
    await expect(write()).resolves.toMatchObject({ indexes: [{ shard: 0, index: 1 }] });
    world().clock = (node) => (node === leader ? UNTIL : 0);
    await expect(write()).rejects.toMatchObject(EXPIRED);
    const reads = { ...reading(), caller };
    await expect(router.count("c", reads)).rejects.toMatchObject(EXPIRED);
    await expect(router.retrieve("c", [1], NOTHING, reads)).rejects.toMatchObject(EXPIRED);
    await expect(router.search("c", [], reads)).rejects.toMatchObject(EXPIRED);
    await expect(router.scroll("c", { ...NOTHING, from: null, limit: 1 }, reads)).rejects.toMatchObject(
      EXPIRED,
    );
    for (const [method, request] of [
      ["transfer", { group, to: asking, timeoutMs: 1_000, caller: ending(MANAGER) }],
      ["restart", { group, caller: ending(MANAGER) }],
    ] as const)
      await expect(
        world().node(asking).calls.call(leader, method, request, { timeoutMs: 5_000, signal: patient() }),
      ).rejects.toMatchObject(EXPIRED);
    expect(world().group(group)).toMatchObject({ leader, entries: [{}] });
    expect(world().node(leader).restarted).toEqual([]);
  });

  test("is refused while it does not count yet; one without bounds always counts", async () => {
    const { group, router } = await apart();
    world().clock = () => UNTIL - 60_001;
    const write = (valid: Principal["valid"]) =>
      router.write("c", [upsert(1)], { ...writing(), caller: bounded(WRITER, valid) });
    await expect(write({ fromMs: UNTIL - 60_000, untilMs: null })).rejects.toMatchObject({
      code: "UNAUTHENTICATED",
      message: expect.stringContaining("not valid yet"),
    });
    expect(world().group(group).entries).toHaveLength(0);
    await write({ fromMs: UNTIL - 60_001, untilMs: null });
    await write({ fromMs: null, untilMs: UNTIL });
    await write({ fromMs: null, untilMs: null });
    // As nodes of an earlier version name their callers.
    await write(undefined);
    expect(world().group(group).entries).toHaveLength(4);
  });
});

test("rights that no claim could have given are not taken", async () => {
  const { group, leader, asking } = await apart();
  const forged = [
    { ...MANAGER, rights: { kind: "everything" } },
    { ...MANAGER, rights: { kind: "collections", list: [{ collection: "c", access: "m" }] } },
    { ...MANAGER, rights: { kind: "collections", list: [{ collection: "a*b", access: "rw" }] } },
    { ...MANAGER, credential: { kind: "root" } },
    { ...MANAGER, name: 7 },
    { ...MANAGER, valid: null },
    { ...MANAGER, valid: { fromMs: null } },
    { ...MANAGER, valid: { fromMs: null, untilMs: NaN } },
    { ...MANAGER, valid: { fromMs: "now", untilMs: null } },
    "root",
  ];
  for (const caller of forged) {
    const request = { group, level: "eventual", atLeast: null, caller: caller as Principal } as const;
    await expect(
      world().node(asking).calls.call(leader, "count", request, { timeoutMs: 5_000, signal: patient() }),
    ).rejects.toThrow();
  }
});

describe("the leader's own limits", () => {
  test("its quotas refuse what adds data, and let go what removes some", async () => {
    const { group, leader, router } = await apart();
    await router.write("c", [upsert(1)], writing());
    using quotas = new Quotas(
      { diskFreeBytes: 10, memoryBytes: 0, directory: "/" },
      { probes: { freeBytes: () => Promise.resolve(5), memoryBytes: () => 0 }, everyMs: 0 },
    );
    await quotas.look();
    const guard = new Guard({ quotas });
    world().guard = (node) => (node === leader ? guard : null);
    await expect(router.write("c", [upsert(2)], writing())).rejects.toMatchObject({ code: "OUT_OF_SPACE" });
    expect(world().group(group).entries).toHaveLength(1);
    await router.write("c", [{ kind: "delete", ids: [1] }], writing());
    expect(world().group(group).entries).toHaveLength(2);
  });

  test("its audit log names the caller, and where the change is in the log", async () => {
    const { leader, asking, router } = await apart();
    const lines: unknown[] = [];
    world().guard = (node) =>
      node !== leader
        ? null
        : {
            checkChange: () => undefined,
            record: (action, entry) => lines.push({ action, ...entry }),
          };
    await router.write("c", [upsert(1)], { ...writing(), caller: WRITER });
    const refused = router.write("c", [upsert(1)], { ...writing(), caller: READER });
    await expect(refused).rejects.toBeInstanceOf(ApiError);
    const common = { action: "write", actor: "team", target: { collection: "c" }, remote: `node ${asking}` };
    expect(lines).toMatchObject([
      { ...common, outcome: "done", index: "0=1" },
      { ...common, outcome: "refused", code: "FORBIDDEN" },
    ]);
  });
});

const NOTHING = { withPayload: { kind: "none" }, withVector: false } as const;
