/** Kills a node at random moments under mixed writes and compares what is left with what was acknowledged. */
import { cpSync, readdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { WorkDir } from "../src/cli/bench/loaded-set.ts";
import { NodeProcess } from "../src/cli/bench/node-process.ts";
import { HttpClient } from "../src/cli/http-client.ts";
import { createCollection } from "../src/cli/import/target.ts";
import { call, collectionPath, isRecord } from "../src/cli/rest.ts";
import type { Figure } from "./figures/context.ts";
import { BARRIER_ID, DIMENSION, Writer } from "./figures/history.ts";
import type { Dice, Totals } from "./figures/history.ts";
import { flag } from "./figures/flags.ts";

const COLLECTION = "kill";
const WRITERS = 4;
/** From the first write to the kill. */
const MOMENT_MS = { least: 20, most: 600 };

/** `--times 50 --seed 1` */
export async function main(args: readonly string[]): Promise<void> {
  const figures = await killFigures(
    flag(args, "--times", 50),
    flag(args, "--seed", Date.now() % 1e6),
    (line) => console.error(line),
  );
  for (const { what, found, detail } of figures) console.log(`${what}: ${found}`, detail);
  process.exitCode = figures.every(({ found, limit }) => found <= limit) ? 0 : 1;
}

/** Figure 5. A violation is counted and its description said; the run goes on to the next kill. */
export async function killFigures(
  times: number,
  seed: number,
  say: (line: string) => void,
): Promise<readonly Figure[]> {
  using work = new WorkDir();
  const dataDir = join(work.path, "node");
  const dice = diceOf(seed);
  const totals: Totals = { acknowledged: 0, unclear: 0, unclearApplied: 0, visibleLate: 0 };
  const writers = Array.from({ length: WRITERS }, (_, i) => new Writer(i, dice, totals));
  let violations = 0;
  let slowestReady = 0;
  say(`${times} kills under ${WRITERS} writers, seed ${seed}`);
  let node = await NodeProcess.start({ dataDir });
  try {
    {
      using client = new HttpClient({ url: node.url });
      await createCollection(client, { collection: COLLECTION, distance: "Euclid", dimension: DIMENSION });
    }
    for (let round = 1; round <= times; round++) {
      using client = new HttpClient({ url: node.url, connections: WRITERS });
      const writing = Promise.all(writers.map((writer) => writer.writeUntilLost(client, COLLECTION)));
      await sleep(MOMENT_MS.least + dice(MOMENT_MS.most - MOMENT_MS.least));
      await node.kill();
      await writing;
      node = await NodeProcess.start({ dataDir });
      slowestReady = Math.max(slowestReady, node.readySeconds);
      using again = new HttpClient({ url: node.url });
      // The log has an order: what comes before an acknowledged write is applied or will never be.
      const settle = async () => {
        const point = { id: BARRIER_ID, vector: new Array<number>(DIMENSION).fill(round) };
        await call(again, "PUT", collectionPath(COLLECTION, "/points?wait=true"), { points: [point] });
      };
      for (const writer of writers)
        await writer.verify(again, COLLECTION, settle).catch((error: Error) => {
          violations++;
          say(`kill ${round}: ${error.message}`);
        });
      say(`kill ${round}: ${totals.acknowledged} acknowledged, ${totals.unclear} unanswered so far`);
    }
    const hashes = await replay(node, dataDir, join(work.path, "replayed"));
    say(`state hash ${hashes.lived}, replayed ${hashes.replayed}`);
    const detail = {
      kills: times,
      seed,
      acknowledged: totals.acknowledged,
      unanswered: totals.unclear,
      unansweredButApplied: totals.unclearApplied,
      appliedAfterReady: totals.visibleLate,
      points: writers.reduce((sum, { points }) => sum + points, 0),
      slowestReadySeconds: slowestReady,
    };
    const hash = { stateHash: hashes.lived, replayedHash: hashes.replayed };
    const rule = { limit: 0, rule: "atMost", unit: "" } as const;
    return [
      {
        figure: "5a",
        what: "operations lost or half applied after kill -9",
        found: violations,
        ...rule,
        detail,
      },
      {
        figure: "5b",
        what: "state hash differs from a replay of the log",
        found: hashes.lived === hashes.replayed ? 0 : 1,
        ...rule,
        detail: hash,
      },
    ];
  } finally {
    await node[Symbol.asyncDispose]();
  }
}

/** The hash of the living state, and of one made from nothing but the log: the engines' files are left out of the copy. */
async function replay(
  node: NodeProcess,
  dataDir: string,
  copy: string,
): Promise<{ readonly lived: string; readonly replayed: string }> {
  const lived = await stateHash(node.url);
  await node.stop();
  cpSync(dataDir, copy, { recursive: true, filter: (path) => !/[/\\]lock(\.[^/\\]*)?$/.test(path) });
  for (const shard of readdirSync(join(copy, "shards")))
    rmSync(join(copy, "shards", shard), { recursive: true });
  await using second = await NodeProcess.start({ dataDir: copy });
  return { lived, replayed: await stateHash(second.url) };
}

async function stateHash(url: string): Promise<string> {
  using client = new HttpClient({ url });
  await client.request("GET", "/readyz?sync");
  const result = await call(client, "GET", collectionPath(COLLECTION, "/shards"));
  return hashesOf(result);
}

/** Of every replica in order. Throws when there is none or one is not known: two unknowns would be equal. */
export function hashesOf(result: unknown): string {
  const shards = isRecord(result) && Array.isArray(result["shards"]) ? (result["shards"] as unknown[]) : [];
  const hashes = shards.flatMap((shard) =>
    isRecord(shard) && Array.isArray(shard["replicas"])
      ? (shard["replicas"] as unknown[]).map((replica) => (isRecord(replica) ? replica["state_hash"] : null))
      : [null],
  );
  if (hashes.length === 0 || !hashes.every((hash) => typeof hash === "string" && hash !== ""))
    throw new Error(`a replica without a state hash cannot be compared: ${JSON.stringify(result)}`);
  return hashes.join(" ");
}

/** The same seed gives the same requests; when the kill hits is up to the machine (mulberry32). */
function diceOf(seed: number): Dice {
  let state = seed >>> 0;
  return (bound) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % bound;
  };
}
