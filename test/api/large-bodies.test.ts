import { setImmediate as nextPass } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { LargeBodies } from "../../src/api/large-bodies.ts";

const LARGE = 1 << 20;

describe("large bodies", () => {
  test("a small one is worked on at once, also while large ones wait", () => {
    const bodies = new LargeBodies();
    const done: string[] = [];
    bodies.whenDue(LARGE, () => done.push("large"));
    bodies.whenDue(100, () => done.push("small"));
    expect(done).toEqual(["small"]);
  });

  test("large ones are worked on in their order, one per pass of the event loop", async () => {
    const bodies = new LargeBodies();
    const done: number[] = [];
    for (let body = 0; body < 4; body++) bodies.whenDue(LARGE, () => done.push(body));
    for (let pass = 1; pass <= 4; pass++) {
      await nextPass();
      expect(done).toEqual([0, 1, 2, 3].slice(0, pass));
    }
  });

  test("one that throws does not hold up the next", async () => {
    const bodies = new LargeBodies();
    const thrown = new Promise((resolve) => process.once("uncaughtException", resolve));
    const others = process.listeners("uncaughtException").slice(0, -1);
    for (const other of others) process.off("uncaughtException", other);
    const second = new Promise<string>((resolve) => {
      bodies.whenDue(LARGE, () => {
        throw new Error("first");
      });
      bodies.whenDue(LARGE, () => resolve("second"));
    });
    expect(await second).toBe("second");
    expect(await thrown).toMatchObject({ message: "first" });
    for (const other of others) process.on("uncaughtException", other);
  });
});
