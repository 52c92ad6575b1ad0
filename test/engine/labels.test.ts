import fc from "fast-check";
import { expect, test } from "vitest";
import { LABEL_MAX, LabelSet } from "../../src/engine/labels.ts";
import { SEED } from "./support.ts";

const labels = fc.array(
  fc.oneof(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 0, max: LABEL_MAX }), fc.constant(LABEL_MAX)),
);

function setOf(some: readonly number[]): LabelSet {
  const set = new LabelSet();
  for (const label of some) set.add(label);
  return set;
}

test("what one set has without another is found, up to the last label", () => {
  fc.assert(
    fc.property(labels, labels, (some, others) => {
      const found = [...setOf(some).without(setOf(others))].sort((a, b) => a - b);
      const expected = [...new Set(some)].filter((label) => !others.includes(label)).sort((a, b) => a - b);
      expect(found).toEqual(expected);
    }),
    { seed: SEED },
  );
});
