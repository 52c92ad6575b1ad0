import { expect, test } from "vitest";
import { ERRORS } from "../../src/api/errors.ts";

test("retry advice fits the status: what had no effect may be sent again, what was refused not", () => {
  for (const { http, retry } of Object.values(ERRORS)) {
    if (http >= 400 && http < 500 && http !== 408 && http !== 429) expect(retry).toBe("no");
    if (http === 307 || http === 429) expect(retry).toBe("yes");
  }
});
