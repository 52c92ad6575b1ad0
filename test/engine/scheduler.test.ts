import { expect, test } from "vitest";
import { TurnScheduler } from "../../src/engine/scheduler.ts";
import type { SliceKind } from "../../src/engine/scheduler.ts";

test("searches go before applies, applies before indexing, each kind in order", async () => {
  const scheduler = new TurnScheduler();
  const granted: string[] = [];
  const ask = (kind: SliceKind, name: string): Promise<unknown> =>
    scheduler.turn(kind).then(() => granted.push(name));
  await Promise.all([
    ask("index", "index 1"),
    ask("apply", "apply 1"),
    ask("index", "index 2"),
    ask("search", "search 1"),
    ask("search", "search 2"),
    ask("apply", "apply 2"),
  ]);
  expect(granted).toEqual(["search 1", "search 2", "apply 1", "apply 2", "index 1", "index 2"]);
});

test("searches that never end leave every eighth turn to indexing", async () => {
  const scheduler = new TurnScheduler();
  const granted: SliceKind[] = [];
  let searching = true;
  const searches = (async () => {
    while (searching) {
      await scheduler.turn("search");
      granted.push("search");
    }
  })();
  for (let slice = 0; slice < 3; slice++) {
    await scheduler.turn("index");
    granted.push("index");
  }
  searching = false;
  await searches;
  expect(granted.filter((kind) => kind === "index")).toHaveLength(3);
  expect(granted.indexOf("index")).toBeLessThanOrEqual(8);
});

test("between two turns the thread sees to what came in", async () => {
  const scheduler = new TurnScheduler();
  const seen: string[] = [];
  await scheduler.turn("index");
  setImmediate(() => seen.push("message"));
  await scheduler.turn("index");
  seen.push("turn");
  expect(seen).toEqual(["message", "turn"]);
});
