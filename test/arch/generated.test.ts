import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Metrics, METRICS } from "../../src/observability/metrics.ts";
import { regenerate } from "./generated.ts";

test("the README's tables equal the tables in the code; npm run generate writes them", () => {
  const readme = readFileSync("README.md", "utf8");
  expect(readme).toBe(regenerate(readme));
  for (const name of ["options", "errors", "metrics", "refusals"])
    expect(readme).toContain(`<!-- generated:${name} -->`);
});

test("a marker that names nothing is an error", () => {
  expect(() => regenerate("<!-- generated:weather -->\n<!-- /generated:weather -->")).toThrow(/weather/);
});

describe("every metric", () => {
  test("is registered under its name with its help", async () => {
    const text = await new Metrics().text();
    for (const [name, { help, kind }] of Object.entries(METRICS)) {
      expect(text).toContain(`# HELP ${name} ${help}`);
      expect(text).toContain(`# TYPE ${name} ${kind}`);
    }
  });
  test("has a name with a unit that its kind asks for", () => {
    for (const [name, { kind }] of Object.entries(METRICS)) {
      expect(name).toMatch(/^flotilla_[a-z_]+$/);
      if (kind === "histogram") expect(name).toMatch(/_(seconds|ms)$/);
      if (kind === "counter") expect(name).toMatch(/_total$/);
    }
  });
});
