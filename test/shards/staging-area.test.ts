import { rm } from "node:fs/promises";
import { expect, test, vi } from "vitest";
import { LogIndex } from "../../shards/index.ts";
import { StagingArea, type Incoming } from "../../shards/snapshot/staging-area.ts";
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
