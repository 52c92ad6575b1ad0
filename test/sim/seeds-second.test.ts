import { expect, test } from "vitest";
import { EXPECTED_MARKS, holdOver } from "./seed-range.ts";

// In two files, so that two cores share the seeds.
test("every invariant and liveness hold over the second hundred seeds", { timeout: 180_000 }, async () => {
  const marks = await holdOver(101, 100);
  expect(EXPECTED_MARKS.filter((mark) => !marks.has(mark))).toEqual([]);
});
