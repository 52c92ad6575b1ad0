/** How late the consensus thread's turns come under a 32 MB body, a bulk import and long exact searches. */
import { randomBytes } from "node:crypto";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { batchesOf, WorkDir } from "../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { createCollection } from "../src/cli/import/target.ts";
import { upload } from "../src/cli/import/upload.ts";
import { call, collectionPath } from "../src/cli/rest.ts";
import { compiledFile } from "../src/cli/project.ts";
import { vectorJson } from "../src/cli/vector-json.ts";
import type { Figure } from "./figures/context.ts";
import { flag } from "./figures/flags.ts";
import { metricOf } from "./support/metrics.ts";

const COLLECTION = "delay";
const DIMENSION = 784;
const BODY_BYTES = 32 << 20;
const LIMIT_MS = 50;
const METRIC = "flotilla_consensus_turn_delay_ms";
/** The metric holds the longest delay of the last 10 s: looked at often enough to miss none. */
const LOOK_EVERY_MS = 500;
const FORGOTTEN_AFTER_MS = 10_500;

/** `--points 20000` */
export async function main(args: readonly string[]): Promise<void> {
  const figures = await delayFigures(flag(args, "--points", 20_000), (line) => console.error(line));
  for (const { what, found, limit, unit } of figures)
    console.log(`${what}: ${found.toFixed(1)} ${unit} (at most ${limit})`);
  process.exitCode = figures.every(({ found, limit }) => found <= limit) ? 0 : 1;
}

export async function delayFigures(points: number, say: (line: string) => void): Promise<readonly Figure[]> {
  using work = new WorkDir();
  await using node = await NodeProcess.start({ dataDir: join(work.path, "node") });
  using client = new HttpClient({ url: node.url, timeoutMs: 300_000 });
  await createCollection(client, { collection: COLLECTION, distance: "Euclid", dimension: DIMENSION });
  const base = Float32Array.from(randomBytes(points * DIMENSION));
  const at = (rest: string) => collectionPath(COLLECTION, rest);
  const queryText = vectorJson(base, 0, DIMENSION);
  const exact = `{"vector":${queryText},"limit":10,"params":{"exact":true}}`;
  const body = bodyOf(BODY_BYTES);
  const phases: Readonly<Record<string, () => Promise<unknown>>> = {
    "at rest": () => sleep(2_000),
    "under a bulk import": () =>
      upload(client, batchesOf({ base, dimension: DIMENSION }, 500), {
        collection: COLLECTION,
        concurrency: 4,
      }),
    // Accepted or not: parsing it is what could hold others up.
    "under 32 MB bodies": async () => {
      for (let i = 0; i < 3; i++) await client.request("PUT", at("/points?wait=true"), body);
    },
    "under long exact searches": () =>
      Promise.all(
        Array.from({ length: 4 }, () =>
          call(
            client,
            "POST",
            at("/points/search/batch"),
            `{"searches":[${Array(50).fill(exact).join(",")}]}`,
          ),
        ),
      ),
  };
  const figures: Figure[] = [];
  const idle = new Worker(compiledFile("bench/support/idle-thread.ts"));
  let idleThreadMs = 0;
  idle.on("message", (delayMs: number) => (idleThreadMs = Math.max(idleThreadMs, delayMs)));
  for (const [name, work] of Object.entries(phases)) {
    idleThreadMs = 0;
    const found = await worstDuring(client, work);
    say(`${name}: ${found.toFixed(1)} ms; a thread that does nothing: ${idleThreadMs.toFixed(1)} ms`);
    figures.push({
      figure: "delay",
      what: `longest delay of a consensus turn ${name}`,
      found,
      limit: LIMIT_MS,
      rule: "atMost",
      unit: "ms",
      detail: { idleThreadMs },
    });
    // What this phase left in the metric must not be counted for the next one.
    await sleep(FORGOTTEN_AFTER_MS);
  }
  await idle.terminate();
  return figures;
}

async function worstDuring(client: HttpClient, work: () => Promise<unknown>): Promise<number> {
  let worst = 0;
  let running = true;
  const working = work().finally(() => {
    running = false;
  });
  do {
    await Promise.race([working, sleep(LOOK_EVERY_MS)]);
    worst = Math.max(worst, await metricOf(client, METRIC));
  } while (running);
  await working;
  // The threads report once a second.
  await sleep(1_500);
  return Math.max(worst, await metricOf(client, METRIC));
}

/** An upsert just under `bytes`, all of its points overwriting the first ones. */
function bodyOf(bytes: number): Buffer {
  const point = (id: number) =>
    `{"id":${id},"vector":${vectorJson(Float32Array.from(randomBytes(DIMENSION)))}}`;
  const parts: string[] = [];
  for (let size = 64; size < bytes;) {
    const next = point(parts.length);
    size += next.length + 1;
    if (size < bytes) parts.push(next);
  }
  return Buffer.from(`{"points":[${parts.join(",")}]}`);
}
