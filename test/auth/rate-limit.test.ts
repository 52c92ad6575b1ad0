import { expect, test } from "vitest";
import { RateLimit } from "../../src/auth/rate-limit.ts";
import { NOW_MS } from "./support.ts";

function limited(perSecond: number, burst: number) {
  const clock = { nowMs: NOW_MS };
  const rate = new RateLimit({ perSecond, burst }, { nowMs: () => clock.nowMs });
  const granted = (name: string, times: number): number => {
    let count = 0;
    for (let i = 0; i < times; i++) if (rate.take(name) === 0) count++;
    return count;
  };
  return { rate, clock, granted };
}

test.each([
  [10, 3, 3],
  [10, 0, 10],
  [7, 20, 20],
  [1_000, 1, 1],
])("%d per second with a burst of %d: %d at once, then the rate", (perSecond, burst, atOnce) => {
  const { granted, clock } = limited(perSecond, burst);
  expect(granted("app", 2_000)).toBe(atOnce);
  let later = 0;
  for (let ms = 0; ms < 10_000; ms++) {
    clock.nowMs += 1;
    later += granted("app", 1);
  }
  expect(Math.abs(later - 10 * perSecond)).toBeLessThanOrEqual(1);
});

test("what is refused says when it would be granted, and then it is", () => {
  const { rate, granted, clock } = limited(4, 1);
  expect(granted("app", 1)).toBe(1);
  const wait = rate.take("app");
  expect(wait).toBeCloseTo(250, 3);
  clock.nowMs += wait - 1;
  expect(rate.take("app")).toBeGreaterThan(0);
  clock.nowMs += 1;
  expect(rate.take("app")).toBe(0);
});

test("each name has its own, and those with nothing to pay off are forgotten", () => {
  const { rate, granted, clock } = limited(10, 5);
  expect([granted("a", 9), granted("b", 9)]).toEqual([5, 5]);
  for (let i = 0; i < 40_000; i++) {
    if (i % 100 === 0) clock.nowMs += 1;
    rate.take(`address ${i}`);
  }
  expect(rate.names).toBeLessThanOrEqual(16_384);
});
