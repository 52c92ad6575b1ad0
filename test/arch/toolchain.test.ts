import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

test("the lock file carries no download address", () => {
  const lock = readFileSync("package-lock.json", "utf8");
  expect(lock).not.toMatch(/"resolved":\s*"https?:/);
});
