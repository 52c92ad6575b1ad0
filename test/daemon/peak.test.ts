import fc from "fast-check";
import { expect, test } from "vitest";
import { Peak } from "../../src/observability/peak.ts";

test("a spike stays visible for the window and is gone after it", () => {
  let now = 0;
  const peak = new Peak(100, () => now);
  peak.add(3);
  now = 50;
  peak.add(1);
  expect(peak.value).toBe(3);
  now = 120;
  expect(peak.value).toBe(1);
  now = 151;
  expect(peak.value).toBe(0);
});

test("it is the highest value of the window, whatever came in which order", () => {
  const steps = fc.array(fc.record({ after: fc.nat({ max: 40 }), value: fc.nat({ max: 9 }) }), {
    maxLength: 30,
  });
  fc.assert(
    fc.property(steps, (history) => {
      let now = 0;
      const peak = new Peak(100, () => now);
      const all: { readonly atMs: number; readonly value: number }[] = [];
      for (const { after, value } of history) {
        now += after;
        peak.add(value);
        all.push({ atMs: now, value });
        const recent = all.filter(({ atMs }) => atMs >= now - 100).map((seen) => seen.value);
        expect(peak.value).toBe(Math.max(...recent));
      }
    }),
    { seed: 5, numRuns: 200 },
  );
});
