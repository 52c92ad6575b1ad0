import { expect, test } from "vitest";
import { SLOTS, evenSlots, slotOf, slotTable } from "../../src/catalog/slots.ts";

test("slots of these ids never change: they are part of the format", () => {
  const ids = [
    0,
    1,
    2,
    4294967296,
    9007199254740991,
    "",
    "1",
    "a",
    "point-17",
    "ü",
    "5c56c793-69f3-4fbf-87e6-c4bf54c28c26",
  ];
  expect(ids.map(slotOf)).toMatchInlineSnapshot(`
    [
      7009,
      9958,
      1638,
      1752,
      1347,
      15371,
      13711,
      12723,
      88,
      15569,
      10878,
    ]
  `);
});

test("a number and its text are different ids", () => {
  expect(slotOf(5)).not.toBe(slotOf("5"));
});

test.each([1, 2, 3, 7, 64, 1024])("%d shards share all slots evenly", (shards) => {
  const table = slotTable(evenSlots(shards));
  const held = new Array<number>(shards).fill(0);
  for (const shard of table) held[shard]!++;
  expect(held.reduce((sum, slots) => sum + slots)).toBe(SLOTS);
  expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
});

test.each([
  ["counted ids", (n: number) => n],
  ["every thousandth id", (n: number) => n * 1000],
  ["ids above 2^32", (n: number) => 2 ** 32 * n],
  ["counted names", (n: number) => `item-${n}`],
])("%s spread over shards", (_, id) => {
  const table = slotTable(evenSlots(8));
  const held = new Array<number>(8).fill(0);
  for (let n = 0; n < 8000; n++) held[table[slotOf(id(n))]!]!++;
  // 1,000 each, with a standard deviation of 30.
  for (const points of held) expect(Math.abs(points - 1000)).toBeLessThan(150);
});
