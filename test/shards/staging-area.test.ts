import { readdirSync, writeFileSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { LogIndex } from "../../shards/index.ts";
import { StagingArea, type Incoming, type Manifest } from "../../shards/snapshot/staging-area.ts";
import { scratch } from "./support/scratch.ts";

vi.mock("node:fs/promises", { spy: true });

async function begun(area: StagingArea, index: number): Promise<Incoming | null> {
  return await area.begin({ group: 3, index: LogIndex(index), term: 4, files: [] });
}

test("one that cannot be cleared away keeps no later snapshot of its group out", async () => {
  const area = new StagingArea(scratch());
  const first = await begun(area, 9);
  vi.mocked(rm).mockRejectedValueOnce(new Error("EIO: i/o error, unlink"));
  await expect(first?.discard()).rejects.toThrow("EIO");
  const second = await begun(area, 12);
  expect(second).not.toBeNull();
  await second?.discard();
});

test("files that the next snapshot of the group has too go on where they stood, others begin anew", async () => {
  const path = scratch();
  const graph = { name: "graph-7-1.hnsw", bytes: 4, sha256: "a" };
  const points = (sha256: string) => ({ name: "points.sqlite", bytes: 6, sha256 });
  const of = (index: number, files: Manifest["files"]) => ({
    group: 3,
    index: LogIndex(index),
    term: 4,
    files,
  });
  const half = async (incoming: Incoming | null): Promise<readonly number[]> => {
    const held = [...(incoming?.held ?? [])];
    for (const at of [0, 1]) await incoming?.append(at, held[at] ?? 0, new Uint8Array(1));
    await incoming?.pause();
    return held;
  };
  const area = new StagingArea(path);
  expect(await half(await area.begin(of(9, [graph, points("b")])))).toEqual([0, 0]);
  // Also by a process that was started since.
  expect(await half(await new StagingArea(path).begin(of(12, [graph, points("c")])))).toEqual([1, 0]);
  expect(await half(await area.begin(of(12, [graph, points("c")])))).toEqual([2, 1]);
  expect(readdirSync(path)).toHaveLength(1);
  writeFileSync(join(path, readdirSync(path)[0] ?? "", ".contents.json"), "[{");
  expect(await half(await area.begin(of(15, [graph, points("c")])))).toEqual([0, 0]);
});
