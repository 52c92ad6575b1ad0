import { expect, test } from "vitest";
import { Metrics } from "../../src/observability/metrics.ts";

test("scrapes at the same time all see everything, the next one looks anew", async () => {
  const metrics = new Metrics();
  const gates: (() => void)[] = [];
  const gate = (): Promise<void> => new Promise((resolve) => gates.push(resolve));
  let value = 6;
  metrics.beforeScrape(async () => {
    metrics.reset("flotilla_group_term");
    await gate();
    metrics.set("flotilla_group_term", ++value, { collection: "c", shard: 0 });
    await gate();
  });
  const pass = async (): Promise<void> => {
    gates.shift()?.();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const first = metrics.text();
  await pass();
  // What it has set stands while it waits for the rest; another scrape comes.
  const second = metrics.text();
  await pass();
  expect(await first).toContain('flotilla_group_term{collection="c",shard="0"} 7');
  expect(await second).toBe(await first);
  const third = metrics.text();
  await pass();
  await pass();
  expect(await third).toContain('flotilla_group_term{collection="c",shard="0"} 8');
});
