import { expect, test } from "vitest";
import { ERRORS } from "../../src/api/errors.ts";
import { errorsTable } from "../../src/api/errors-table.ts";

test("every code is a row, with its HTTP status, gRPC status and retry advice", () => {
  const lines = errorsTable().split("\n");
  expect(lines).toHaveLength(Object.keys(ERRORS).length + 2);
  expect(lines).toContain(
    "| `TOO_LARGE` | 413 | RESOURCE_EXHAUSTED | no | A body or batch is over its limit; the limit is named. |",
  );
  expect(lines.find((line) => line.includes("`OUTCOME_UNKNOWN`"))).toContain("| 408 |");
  for (const line of lines) expect(line.split("|")).toHaveLength(7);
});

test("retry advice fits the status: what had no effect may be sent again, what was refused not", () => {
  for (const { http, retry } of Object.values(ERRORS)) {
    if (http >= 400 && http < 500 && http !== 408 && http !== 429) expect(retry).toBe("no");
    if (http === 307 || http === 429) expect(retry).toBe("yes");
  }
});
