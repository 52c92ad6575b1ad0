import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeEntry, type CatalogueCommand } from "../../src/catalog/commands.ts";
import { CatalogueState } from "../../src/catalog/state.ts";
import { command, create } from "./support.ts";

const remove = (name: string): CatalogueCommand => ({ kind: "deleteCollection", name });

describe("creating", () => {
  test("mints ids and groups from the entry's index", () => {
    const state = new CatalogueState();
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
          { shard: 0, nodes: [1] },
          { shard: 1, nodes: [1] },
        ],
      },
    });
  });

  test("of two that claim one name, the first in the log wins", () => {
    const state = new CatalogueState();
    state.apply(1, command(1, create("a")));
    expect(state.apply(2, command(2, create("a", 3)))).toMatchObject({
      kind: "rejected",
      code: "COLLECTION_EXISTS",
      message: "Collection `a` already exists!",
    });
    expect(state.collection("a")).toMatchObject({ id: 1, shards: [{ shard: 0, group: 1024 }] });
  });

  test("again after a delete gives new ids: nothing of the old one can come back", () => {
    const state = new CatalogueState();
    state.apply(1, command(1, create("a")));
    state.apply(2, command(2, remove("a")));
    state.apply(3, command(3, create("a")));
    expect(state.collection("a")).toMatchObject({ id: 3, shards: [{ shard: 0, group: 3072 }] });
  });

  test("stops at the limit the proposer sent along", () => {
    const state = new CatalogueState();
    state.apply(1, command(1, create("a")));
    const { collection } = create("b");
    const limited: CatalogueCommand = { kind: "createCollection", collection, nodes: [1], collectionsMax: 1 };
    expect(state.apply(2, command(2, limited))).toMatchObject({ kind: "rejected", code: "LIMIT_EXCEEDED" });
    expect(state.collections().map(({ name }) => name)).toEqual(["a"]);
  });
});

test("an update changes what it names and the version, nothing else", () => {
  const state = new CatalogueState();
  state.apply(1, command(1, create("a")));
  const before = state.collection("a");
  const sneaky = { metadata: { x: 1 }, id: 99, name: "z" };
  state.apply(2, command(2, { kind: "updateCollection", name: "a", patch: sneaky }));
  expect(state.collection("a")).toEqual({ ...before, metadata: { x: 1 }, version: 2 });
});

test("what is not there can neither be changed nor deleted", () => {
  const state = new CatalogueState();
  expect(state.apply(1, command(1, remove("a")))).toMatchObject({ code: "COLLECTION_NOT_FOUND" });
  expect(state.apply(2, command(2, { kind: "updateCollection", name: "a", patch: {} }))).toMatchObject({
    code: "COLLECTION_NOT_FOUND",
  });
});

test("a repeated proposal is answered with the first outcome and applied once", () => {
  const state = new CatalogueState();
  const first = state.apply(1, command(5, create("a")));
  expect(state.apply(2, command(5, create("a")))).toEqual(first);
  expect(state.applied).toBe(2);
  expect(state.collection("a")?.version).toBe(1);
});

test("entries handed in again after a restart change nothing", () => {
  const state = new CatalogueState();
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
    const state = new CatalogueState();
    expect(state.apply(1, data)).toMatchObject({ kind: "rejected", code: "BAD_ENTRY" });
    expect(state.snapshot()).toEqual({ applied: 1, collections: [], recent: [] });
  });

  test("no bytes whatever make it throw", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.uint8Array(),
          fc.json().map((json) => new TextEncoder().encode(json)),
        ),
        (data) => {
          const outcome = new CatalogueState().apply(1, data);
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
      patch: { metadata: { value: JSON.parse(JSON.stringify(value)) } },
    })),
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(commands, fc.nat({ max: 20 })), { maxLength: 40 }),
      fc.nat(),
      (history, cut) => {
        const log = history.map(([what, sequence]) => encodeEntry({ origin: "o", sequence, command: what }));
        const steady = new CatalogueState();
        const outcomes = log.map((data, at) => steady.apply(at + 1, data));
        let other = new CatalogueState();
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
