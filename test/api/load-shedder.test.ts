import { describe, expect, test } from "vitest";
import { LoadShedder, type ShedReason, type Work } from "../../src/api/load-shedder.ts";

const ROOMY = { inflightMax: 100, shedDelayMs: 100 };

function code(shedder: LoadShedder, work: Work = "read", collection = "cities"): string {
  try {
    shedder.enter(work, collection);
    return "in";
  } catch (error) {
    return (error as { readonly code: string }).code;
  }
}

describe("load shedding", () => {
  test("takes so many at once, and one more for each that leaves", () => {
    using shedder = new LoadShedder({ inflightMax: 2, shedDelayMs: 100 });
    expect([code(shedder), code(shedder, "write"), code(shedder)]).toEqual(["in", "in", "OVERLOADED"]);
    shedder.leave("read");
    expect([code(shedder, "write"), code(shedder), shedder.inflight]).toEqual(["in", "OVERLOADED", 2]);
  });

  test("begins when turns keep coming late, not with one long one, and ends with the first in time", () => {
    using shedder = new LoadShedder(ROOMY);
    const after = (...late: number[]): string => {
      for (const ms of late) shedder.sample(ms);
      return code(shedder);
    };
    expect(after(5_000)).toBe("in");
    expect(after(101)).toBe("in");
    expect(after(101)).toBe("OVERLOADED");
    expect(after(100)).toBe("in");
    expect(after(101, 101)).toBe("in");
  });

  test("refuses reads of a collection that is busy, and nothing else for it", () => {
    const isBusy = (collection: string): boolean => collection === "cities";
    using shedder = new LoadShedder(ROOMY, { isBusy, shed: () => undefined });
    expect([
      code(shedder, "read", "cities"),
      code(shedder, "read", "people"),
      code(shedder, "write", "cities"),
      code(shedder, "admin", "cities"),
    ]).toEqual(["OVERLOADED", "in", "in", "in"]);
  });

  test("leaves administration alone, but for a bound of its own", () => {
    using shedder = new LoadShedder(
      { inflightMax: 1, shedDelayMs: 100 },
      { isBusy: () => true, shed: () => undefined },
    );
    for (let turn = 0; turn < 3; turn++) shedder.sample(101);
    expect([code(shedder, "write"), code(shedder, "admin"), code(shedder, "admin")]).toEqual([
      "OVERLOADED",
      "in",
      "OVERLOADED",
    ]);
    shedder.leave("admin");
    expect(code(shedder, "admin")).toBe("in");
  });

  test("counts what it refuses by why, the most general reason first", () => {
    const reasons: ShedReason[] = [];
    let busy = true;
    using shedder = new LoadShedder(
      { inflightMax: 1, shedDelayMs: 100 },
      { isBusy: () => busy, shed: (reason) => reasons.push(reason) },
    );
    code(shedder);
    busy = false;
    code(shedder);
    busy = true;
    code(shedder);
    shedder.leave("read");
    for (let turn = 0; turn < 3; turn++) shedder.sample(101);
    code(shedder);
    expect(reasons).toEqual(["queue", "inflight", "late"]);
  });

  test("says which option is behind a refusal, and when to come again", () => {
    using shedder = new LoadShedder(
      { inflightMax: 7, shedDelayMs: 100 },
      { isBusy: () => true, shed: () => undefined },
    );
    expect(() => shedder.enter("read", "cities")).toThrow(
      expect.objectContaining({
        message: expect.stringMatching(/`http.read_queue_max`.*nothing was changed/) as string,
        details: { retryAfter: 1 },
      }) as Error,
    );
    expect(shedder.inflight).toBe(0);
  });
});
