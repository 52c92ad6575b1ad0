import { expect, test } from "vitest";
import { EXPECTED_MARKS, holdOver } from "./seed-range.ts";

// In two files, so that two cores share the seeds.
test("every invariant and liveness hold over the first hundred seeds", { timeout: 180_000 }, async () => {
  const marks = await holdOver(1, 100);
  expect(EXPECTED_MARKS.filter((mark) => !marks.has(mark))).toEqual([]);
});
