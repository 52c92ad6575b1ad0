import { describe, expect, test } from "vitest";
import { QueueGate } from "../../src/cluster/queue-gate.ts";

const LIMITS = { max: 8, overloaded: 2 };

/** Asks until it refuses; how many it took. */
function fill(gate: QueueGate, nowMs: number): number {
  let taken = 0;
  for (; taken < 100 && !gate.refuses(nowMs); taken++) gate.join(1);
  return taken;
}

function drain(gate: QueueGate): void {
  while (gate.waiting > 0) gate.leave(1);
}

describe("a queue that reads wait in", () => {
  test("takes as many as a usual number of clients can send, and none more", () => {
    const gate = new QueueGate(LIMITS);
    expect([fill(gate, 0), gate.overloaded]).toEqual([8, true]);
  });

  test("is never overloaded by fewer clients than that, however long they wait", () => {
    const gate = new QueueGate(LIMITS);
    for (let client = 0; client < 7; client++) gate.join(1);
    for (let hour = 0; hour < 24; hour++) {
      expect(gate.refuses(hour * 3_600_000)).toBe(false);
      gate.join(1);
      gate.leave(1);
    }
    expect([gate.waiting, gate.overloaded]).toEqual([7, false]);
  });

  test("while overloaded takes as many only as keep it busy", () => {
    const gate = new QueueGate(LIMITS);
    fill(gate, 0);
    for (let left = 8; left > 2; left--) {
      expect(gate.refuses(10)).toBe(true);
      gate.leave(1);
    }
    expect(gate.refuses(10)).toBe(true);
    gate.leave(1);
    expect(fill(gate, 10)).toBe(1);
  });

  test("is calm again when nothing was refused for a second", () => {
    const gate = new QueueGate(LIMITS);
    fill(gate, 0);
    drain(gate);
    expect([fill(gate, 500), gate.overloaded]).toEqual([2, true]);
    drain(gate);
    expect([gate.refuses(1_499), gate.overloaded]).toEqual([false, true]);
    expect([gate.refuses(1_500), gate.overloaded]).toEqual([false, false]);
    expect(fill(gate, 1_500)).toBe(8);
  });

  test("finds out every 30 s whether those it keeps refusing would fit after all", () => {
    const gate = new QueueGate(LIMITS);
    fill(gate, 0);
    drain(gate);
    const took: number[] = [];
    for (let nowMs = 500; nowMs <= 61_000; nowMs += 500) {
      took.push(fill(gate, nowMs));
      drain(gate);
    }
    const all = took.flatMap((taken, at) => (taken === 8 ? [(at + 1) * 500] : []));
    expect([all, new Set(took)]).toEqual([[30_000, 60_000], new Set([2, 8])]);
  });

  test("that is emptied holds nothing, whatever fractions it counted", () => {
    const gate = new QueueGate(LIMITS);
    for (let call = 0; call < 30; call++) gate.join(1 / 3);
    expect(gate.waiting).toBeCloseTo(10);
    for (let call = 0; call < 30; call++) gate.leave(1 / 3);
    expect(gate.waiting).toBe(0);
  });

  test("whose lower limit is above its upper one refuses from the upper one on", () => {
    const gate = new QueueGate({ max: 2, overloaded: 5 });
    expect(fill(gate, 0)).toBe(2);
    drain(gate);
    expect(fill(gate, 0)).toBe(2);
  });
});
