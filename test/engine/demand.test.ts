import { expect, test } from "vitest";
import { IndexingDemand } from "../../src/engine/demand.ts";

test("what keeping up would take is what is written times what a point costs, over the time it was written in", () => {
  const demand = new IndexingDemand();
  expect(demand.share(0)).toBe(0);
  demand.wrote(400);
  demand.indexed(100, 50);
  // Not before a window is over: a single slice says little.
  expect(demand.share(199)).toBe(0);
  expect(demand.share(200)).toBe(1);
  expect(demand.share(399)).toBe(1);
});

test("while nothing is indexed a point costs what it cost before", () => {
  const demand = new IndexingDemand();
  demand.share(0);
  demand.wrote(100);
  demand.indexed(10, 20);
  expect(demand.share(1_000)).toBe(0.2);
  demand.wrote(50);
  expect(demand.share(1_200)).toBe(0.5);
  expect(demand.share(1_400)).toBe(0);
});
