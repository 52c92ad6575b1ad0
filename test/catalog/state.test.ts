import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeEntry, type CatalogueCommand } from "../../src/catalog/commands.ts";
import { CatalogueState } from "../../src/catalog/state.ts";
import { command, create, founded, withNodes } from "./support.ts";

const remove = (name: string): CatalogueCommand => ({ kind: "deleteCollection", name });

describe("creating", () => {
  test("mints ids and groups from the entry's index", () => {
    const state = founded();
    expect(state.apply(7, command(1, create("a", 2)))).toMatchObject({
      kind: "created",
      collection: {
        id: 7,
        version: 7,
        shards: [
          { shard: 0, group: 7168 },
          { shard: 1, group: 7169 },
        ],
        placement: [
          { shard: 0, group: 7168, founders: [1], replicas: [{ node: 1, founding: true }], wanted: null },
          { shard: 1, group: 7169, founders: [1], replicas: [{ node: 1, founding: true }], wanted: null },
        ],
      },
    });
  });

  test("of two that claim one name, the first in the log wins", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    expect(state.apply(2, command(2, create("a", 3)))).toMatchObject({
      kind: "rejected",
      code: "COLLECTION_EXISTS",
      message: "Collection `a` already exists!",
    });
    expect(state.collection("a")).toMatchObject({ id: 1, shards: [{ shard: 0, group: 1024 }] });
  });

  test("again after a delete gives new ids: nothing of the old one can come back", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, remove("a")));
    state.apply(3, command(3, create("a")));
    expect(state.collection("a")).toMatchObject({ id: 3, shards: [{ shard: 0, group: 3072 }] });
  });

  test("stops at the limit the proposer sent along", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    const { collection } = create("b");
    const limited: CatalogueCommand = {
      kind: "createCollection",
      collection,
      placement: [[1]],
      collectionsMax: 1,
    };
    expect(state.apply(2, command(2, limited))).toMatchObject({ kind: "rejected", code: "LIMIT_EXCEEDED" });
    expect(state.collections().map(({ name }) => name)).toEqual(["a"]);
  });
});

test("an update changes what it names and the version, nothing else", () => {
  const state = founded();
  state.apply(1, command(1, create("a")));
  const before = state.collection("a");
  const sneaky = { metadata: { x: 1 }, id: 99, name: "z" };
  state.apply(2, command(2, { kind: "updateCollection", name: "a", metadataBytesMax: 1_000, patch: sneaky }));
  expect(state.collection("a")).toEqual({ ...before, metadata: { x: 1 }, version: 2 });
});

test("what is not there can neither be changed nor deleted", () => {
  const state = founded();
  expect(state.apply(1, command(1, remove("a")))).toMatchObject({ code: "COLLECTION_NOT_FOUND" });
  expect(
    state.apply(2, command(2, { kind: "updateCollection", name: "a", metadataBytesMax: 1_000, patch: {} })),
  ).toMatchObject({
    code: "COLLECTION_NOT_FOUND",
  });
});

test("a repeated proposal is answered with the first outcome and applied once", () => {
  const state = founded();
  const first = state.apply(1, command(5, create("a")));
  expect(state.apply(2, command(5, create("a")))).toEqual(first);
  expect(state.applied).toBe(2);
  expect(state.collection("a")?.version).toBe(1);
});

test("entries handed in again after a restart change nothing", () => {
  const state = founded();
  state.apply(1, command(1, create("a")));
  expect(state.apply(1, command(2, remove("a")))).toEqual({ kind: "nothing" });
  expect(state.collection("a")).not.toBeNull();
});

describe("an entry that makes no sense", () => {
  const text = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json));
  const envelope = { v: 1, origin: "o", sequence: 1 };
  test.each([
    ["bytes that are no text", new Uint8Array([0xff, 0xfe])],
    ["text that is no JSON", new TextEncoder().encode("{")],
    ["another version", text({ ...envelope, v: 2, command: remove("a") })],
    ["no command", text(envelope)],
    ["an unknown command", text({ ...envelope, command: { kind: "explode" } })],
    [
      "a collection without vectors",
      text({ ...envelope, command: { kind: "createCollection", collection: {} } }),
    ],
    [
      "a dimension that is no number",
      text({
        ...envelope,
        command: {
          ...create("a"),
          collection: { ...create("a").collection, vectors: { dimension: "8", distance: "Dot", m: 16 } },
        },
      }),
    ],
  ])("is rejected and changes nothing but the applied index: %s", (_, data) => {
    const state = founded();
    expect(state.apply(1, data)).toMatchObject({ kind: "rejected", code: "BAD_ENTRY" });
    expect(state.snapshot()).toEqual({ ...withNodes(1), applied: 1 });
  });

  test("no bytes whatever make it throw", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => new TextEncoder().encode(json)),
        ),
        (data) => {
          const outcome = founded().apply(1, data);
          expect(outcome.kind).toBe(data.length === 0 ? "nothing" : "rejected");
        },
      ),
      { seed: 11, numRuns: 300 },
    );
  });
});

test("two replicas that apply the same entries, one of them restarted in between, hold the same", () => {
  const names = fc.constantFrom("a", "b", "c");
  const commands = fc.oneof(
    fc.tuple(names, fc.integer({ min: 1, max: 4 })).map(([name, shards]) => create(name, shards)),
    names.map(remove),
    fc.tuple(names, fc.jsonValue()).map(([name, value]): CatalogueCommand => ({
      kind: "updateCollection",
      name,
      metadataBytesMax: 1_000,
      patch: { metadata: { value: JSON.parse(JSON.stringify(value)) } },
    })),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(commands, fc.nat({ max: 20 })), { maxLength: 40 }),
      fc.nat(),
      (history, cut) => {
        const log = history.map(([what, sequence]) => encodeEntry({ origin: "o", sequence, command: what }));
        const steady = founded();
        const outcomes = log.map((data, at) => steady.apply(at + 1, data));
        let other = founded();
        const again = log.map((data, at) => {
          if (at === cut % (log.length + 1)) {
            other = new CatalogueState(JSON.parse(JSON.stringify(other.snapshot())));
          }
          return other.apply(at + 1, data);
        });
        expect(again).toEqual(outcomes);
        expect(other.snapshot()).toEqual(steady.snapshot());
      },
    ),
    { seed: 3, numRuns: 200 },
  );
});

describe("nodes", () => {
  const register = (incarnation: string, nodeId: number | null, peer = "p:1"): CatalogueCommand => ({
    kind: "registerNode",
    incarnation,
    nodeId,
    http: "h:1",
    grpc: "g:1",
    peer,
    version: "test",
  });

  test("get the next id that nobody ever had, or the one they ask for", () => {
    const state = new CatalogueState();
    expect(state.apply(1, command(1, register("a", 7)))).toMatchObject({ kind: "node", node: { nodeId: 7 } });
    expect(state.apply(2, command(2, register("b", null)))).toMatchObject({ node: { nodeId: 8, joined: 2 } });
    expect(state.apply(3, command(3, register("c", 8)))).toMatchObject({ code: "NODE_ID_EXISTS" });
  });

  test("that ask again with the same incarnation keep their id and say where they are now", () => {
    const state = new CatalogueState();
    state.apply(1, command(1, register("a", null)));
    expect(state.apply(2, command(2, register("a", null, "elsewhere:9")))).toMatchObject({
      node: { nodeId: 1, peer: "elsewhere:9", joined: 1 },
    });
    expect(state.nodes()).toHaveLength(1);
  });

  test("that were removed never come back under their id", () => {
    const state = new CatalogueState(withNodes(1, 2));
    state.apply(1, command(1, { kind: "removeNode", nodeId: 2 }));
    expect(state.apply(2, command(2, register("z", 2)))).toMatchObject({ code: "NODE_ID_EXISTS" });
    expect(state.apply(3, command(3, register("z", null)))).toMatchObject({ node: { nodeId: 3 } });
  });

  test("that hold a replica are not removed, and the last active one does not leave", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    expect(state.apply(2, command(2, { kind: "removeNode", nodeId: 1 }))).toMatchObject({
      code: "NODE_IN_USE",
    });
    expect(state.apply(3, command(3, { kind: "leaveNode", nodeId: 1 }))).toMatchObject({ code: "LAST_NODE" });
  });

  test("that are leaving get nothing new", () => {
    const state = new CatalogueState(withNodes(1, 2));
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, { kind: "leaveNode", nodeId: 2 }));
    const place = { kind: "placeReplica", group: 1024, node: 2 } as const;
    expect(state.apply(3, command(3, place))).toMatchObject({ code: "NODE_NOT_FOUND" });
    expect(state.collection("a")?.placement[0]?.replicas).toHaveLength(1);
  });
});

describe("placement", () => {
  const change = (kind: "placeReplica" | "dropReplica", node: number, wanted?: number): CatalogueCommand => ({
    kind,
    group: 1024,
    node,
    ...(wanted === undefined ? {} : { wanted }),
  });

  test("grows and shrinks by one replica, remembers its founders, and never loses the last", () => {
    const state = new CatalogueState(withNodes(1, 2));
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, change("placeReplica", 2, 2)));
    expect(state.collection("a")?.placement).toEqual([
      {
        shard: 0,
        group: 1024,
        founders: [1],
        replicas: [
          { node: 1, founding: true },
          { node: 2, founding: false },
        ],
        wanted: 2,
      },
    ]);
    expect(state.apply(3, command(3, change("placeReplica", 2)))).toMatchObject({ code: "REPLICA_EXISTS" });
    state.apply(4, command(4, change("dropReplica", 1)));
    expect(state.collection("a")?.placement[0]).toMatchObject({
      founders: [1],
      replicas: [{ node: 2, founding: false }],
    });
    expect(state.apply(5, command(5, change("dropReplica", 2)))).toMatchObject({ code: "LAST_REPLICA" });
    expect(state.apply(6, command(6, change("dropReplica", 1)))).toMatchObject({ code: "REPLICA_NOT_FOUND" });
    // Back again, it is a newcomer: what it once was founded with is long gone.
    state.apply(7, command(7, change("placeReplica", 1)));
    expect(state.collection("a")?.placement[0]?.replicas.at(-1)).toEqual({ node: 1, founding: false });
  });

  test("of two replicas that are asked for at once one is refused, and both of two that are taken away go", () => {
    const state = new CatalogueState(withNodes(1, 2, 3));
    const placed = () => state.collection("a")?.placement[0];
    const nodes = () => placed()?.replicas.map(({ node }) => node);
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, change("placeReplica", 2, 2)));
    expect(state.apply(3, command(3, change("placeReplica", 3, 2)))).toMatchObject({
      code: "PLACEMENT_CHANGED",
      message: expect.stringContaining("2 replicas by now, not 1"),
    });
    expect([nodes(), placed()?.wanted]).toEqual([[1, 2], 2]);
    state.apply(4, command(4, change("placeReplica", 3, 3)));
    state.apply(5, command(5, change("dropReplica", 2, 2)));
    state.apply(6, command(6, change("dropReplica", 3, 2)));
    expect([nodes(), placed()?.wanted]).toEqual([[1], 1]);
  });

  test("an operator's wish counts when the controller forgets the replica first, and is not another one's", () => {
    const state = new CatalogueState(withNodes(1, 2, 3));
    const placed = () => state.collection("a")?.placement[0];
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, change("placeReplica", 2, 2)));
    state.apply(3, command(3, change("dropReplica", 2)));
    expect(state.apply(4, command(4, change("dropReplica", 2, 1)))).toMatchObject({ kind: "updated" });
    expect(placed()?.wanted).toBe(1);
    state.apply(5, command(5, change("placeReplica", 3, 2)));
    expect(state.apply(6, command(6, change("dropReplica", 2, 1)))).toMatchObject({
      code: "REPLICA_NOT_FOUND",
    });
    expect(placed()?.wanted).toBe(2);
  });

  test("a new replication factor overrules what was changed by hand", () => {
    const state = new CatalogueState(withNodes(1, 2));
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, change("placeReplica", 2, 2)));
    const patch = { replicationFactor: 1 };
    state.apply(3, command(3, { kind: "updateCollection", name: "a", metadataBytesMax: 10, patch }));
    expect(state.collection("a")?.placement[0]?.wanted).toBeNull();
  });
});

describe("metadata", () => {
  test("is merged where it is applied: of two patches at once neither is lost", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    const patch = (at: number, metadata: Record<string, number | null>) =>
      state.apply(
        at,
        command(at, { kind: "updateCollection", name: "a", metadataBytesMax: 40, patch: { metadata } }),
      );
    patch(2, { x: 1, y: 1 });
    patch(3, { y: null, z: 3 });
    expect(state.collection("a")?.metadata).toEqual({ x: 1, z: 3 });
    expect(patch(4, { [`k${"y".repeat(40)}`]: 1 })).toMatchObject({ code: "LIMIT_EXCEEDED" });
  });
});

describe("aliases", () => {
  const change = (
    ...actions: (CatalogueCommand & { kind: "changeAliases" })["actions"]
  ): CatalogueCommand => ({
    kind: "changeAliases",
    actions,
  });

  test("change together or not at all", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, create("b")));
    state.apply(3, command(3, change({ kind: "create", alias: "x", collection: "a" })));
    const swap = change(
      { kind: "create", alias: "x", collection: "b" },
      { kind: "rename", from: "nobody", to: "y" },
    );
    expect(state.apply(4, command(4, swap))).toMatchObject({ code: "ALIAS_NOT_FOUND" });
    expect(state.resolve("x")?.name).toBe("a");
  });

  test("never share a name with a collection, and go with theirs", () => {
    const state = founded();
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, change({ kind: "create", alias: "x", collection: "a" })));
    expect(state.apply(3, command(3, create("x")))).toMatchObject({ code: "NAME_TAKEN" });
    expect(state.apply(4, command(4, change({ kind: "create", alias: "a", collection: "a" })))).toMatchObject(
      {
        code: "NAME_TAKEN",
      },
    );
    state.apply(5, command(5, remove("a")));
    expect(state.aliases()).toEqual([]);
  });
});
