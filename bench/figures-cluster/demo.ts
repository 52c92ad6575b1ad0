/**
 * `npm run demo -- --cluster`: three nodes from nothing, a stream of writes and searches, the leader killed in the
 * middle of it, and everything that was acknowledged counted. Explains itself; answers how many promises were broken.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { HttpClientError } from "../../src/cli/http-client.ts";
import { count } from "../../src/cli/import/progress.ts";
import { call, isRecord } from "../../src/cli/rest.ts";
import { flag } from "../figures/flags.ts";
import { COLLECTION, FlotillaStore } from "./flotilla-store.ts";
import { valueOf } from "./store.ts";

const SHARDS = 2;
/** How long each part of the stream runs. */
const SECONDS = 5;
const WRITERS = 4;
const SEARCHERS = 4;
/** Twice an election timeout as it is drawn at most, with the machine at work on everything else. */
const GAP_PROMISED_MS = 2_000;
const FAILED_PAUSE_MS = 10;
const PAGE = 1_000;

const say = (line: string): void => console.log(line);
const step = (title: string): void => console.log(`\n== ${title}`);

/** `--seconds 5`: of each part. */
export async function clusterDemo(args: readonly string[]): Promise<number> {
  const seconds = flag(args, "--seconds", SECONDS);
  const began = performance.now();
  let broken = 0;
  const promise = (sentence: string, holds: boolean): void => {
    if (!holds) broken++;
    say(`${holds ? "  ok    " : "  BROKEN"} ${sentence}`);
  };

  step("Three nodes");
  say("The first node founds a cluster by itself; the others are only told where to find it (--join).");
  await using store = await FlotillaStore.open({ shards: SHARDS, connections: WRITERS + SEARCHERS });
  const shards = await store.untilWhole();
  for (const at of [0, 1, 2]) say(`  node ${store.node(at).nodeId}: ${store.node(at).url}`);
  say(
    `A collection of ${SHARDS} shards. Each shard is a Raft group: a leader orders its writes, and a write`,
  );
  say("is acknowledged when a majority of the three replicas has it on disk.");
  for (const { shard, leader } of shards) say(`  shard ${shard} is led by node ${leader}`);

  step("A stream of writes and searches");
  const leader = await store.leader();
  const traffic = new Traffic(store, leader);
  traffic.start();
  await sleep(seconds * 1000);
  const calm = traffic.lap();
  say(
    `In ${seconds} s: ${count(calm.writes)} writes acknowledged, ${count(calm.searches)} searches answered.`,
  );

  step("The leader is killed (kill -9)");
  const { nodeId, pid } = store.node(leader);
  const killed = performance.now();
  traffic.expectGap(killed);
  await store.kill(leader);
  say(`Process ${pid}, node ${nodeId}, is gone without a word. The stream goes on through the other two,`);
  say("which notice, elect one of themselves, and repeat what they had sent to the dead one.");
  await sleep(seconds * 1000);
  const without = traffic.lap();
  const gap = traffic.gapMs;
  say(
    `In ${seconds} s: ${count(without.writes)} writes acknowledged, ${count(without.searches)} searches answered.`,
  );
  for (const { shard, leader: now } of await store.shards()) say(`  shard ${shard} is led by node ${now}`);
  promise(
    `writes to the shards it led stood still for ${gap === null ? "ever" : `${gap.toFixed(0)} ms`}`,
    gap !== null && gap < GAP_PROMISED_MS,
  );
  promise(`no search failed (${without.failedSearches} did)`, without.failedSearches === 0);

  step("The dead node returns");
  await store.start(leader);
  await store.untilWhole();
  const back = ((performance.now() - killed) / 1000).toFixed(1);
  say(
    `Started again on the same data, it caught up by itself: three replicas again, ${back} s after the kill.`,
  );
  await sleep((seconds / 2) * 1000);
  await traffic.stop();
  const { acknowledged, unclear } = traffic;
  say(`The stream is stopped: ${count(acknowledged.size)} writes were acknowledged in all;`);
  say(`${unclear} had no answer when the node died, and may or may not have happened.`);

  step("Counting");
  for (const at of [0, 1, 2]) {
    const ids = await idsOn(store, at, acknowledged.size);
    const missing = [...acknowledged].filter((id) => !ids.has(id)).length;
    promise(
      `node ${store.node(at).nodeId} by itself holds all ${count(acknowledged.size)} (${missing} are missing)`,
      missing === 0,
    );
  }
  for (const at of [0, 1, 2]) await store.stop(at);
  promise("told to stop (SIGTERM), all three end with exit code 0", true);
  const took = ((performance.now() - began) / 1000).toFixed(0);
  say(`\n${broken === 0 ? "Everything promised held" : `${broken} promises were BROKEN`} (${took} s).`);
  return broken;
}

interface Lap {
  readonly writes: number;
  readonly searches: number;
  readonly failedSearches: number;
}

/** Writers and searchers that use the nodes that stay. */
class Traffic {
  readonly acknowledged = new Set<number>();
  unclear = 0;
  /** From the kill to the first acknowledgement in the shard that waited longest. */
  gapMs: number | null = null;
  readonly #store: FlotillaStore;
  readonly #through: readonly number[];
  #nextId = 1;
  #searches = 0;
  #failedSearches = 0;
  #before: Lap = { writes: 0, searches: 0, failedSearches: 0 };
  #killedAt: number | null = null;
  /** Shards that acknowledged something after the kill. */
  readonly #resumed = new Set<string>();
  #stopped = false;
  #running: Promise<unknown> = Promise.resolve();

  constructor(store: FlotillaStore, leader: number) {
    this.#store = store;
    this.#through = [0, 1, 2].filter((at) => at !== leader);
  }

  start(): void {
    this.#running = Promise.all([
      ...Array.from({ length: WRITERS }, (_, at) => this.#write(at)),
      ...Array.from({ length: SEARCHERS }, (_, at) => this.#search(at)),
    ]);
  }
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }
  expectGap(killedAt: number): void {
    this.#killedAt = killedAt;
  }
  /** What was done since the last lap. */
  lap(): Lap {
    const now = {
      writes: this.acknowledged.size,
      searches: this.#searches,
      failedSearches: this.#failedSearches,
    };
    const before = this.#before;
    this.#before = now;
    return {
      writes: now.writes - before.writes,
      searches: now.searches - before.searches,
      failedSearches: now.failedSearches - before.failedSearches,
    };
  }

  async #write(at: number): Promise<void> {
    const node = this.#through[at % this.#through.length] ?? 0;
    while (!this.#stopped) {
      const id = this.#nextId++;
      const sent = performance.now();
      const body = `{"points":[{"id":${id},"vector":[${valueOf(id)}]}]}`;
      const shards = await this.#store.writeTo(node, body);
      if (shards === null) {
        this.unclear++;
        await sleep(FAILED_PAUSE_MS);
        continue;
      }
      this.acknowledged.add(id);
      // Only what was sent after the kill tells that writes go on; per shard, since each has its own leader.
      if (this.#killedAt === null || sent < this.#killedAt || this.#resumed.has(shards)) continue;
      this.#resumed.add(shards);
      if (this.#resumed.size === SHARDS) this.gapMs = performance.now() - this.#killedAt;
    }
  }

  async #search(at: number): Promise<void> {
    const client = this.#store.client(this.#through[at % this.#through.length] ?? 0);
    for (let turn = at; !this.#stopped; turn += SEARCHERS) {
      const body = `{"vector":[${valueOf(turn)}],"limit":10}`;
      const path = `/collections/${COLLECTION}/points/search?consistency=eventual`;
      try {
        const { status } = await client.request("POST", path, body);
        if (status === 200) this.#searches++;
        else this.#failedSearches++;
      } catch (error) {
        if (!(error instanceof HttpClientError)) throw error;
        this.#failedSearches++;
      }
    }
  }
}

/** What one node finds in its own replicas, once it has applied as much as was acknowledged. */
async function idsOn(store: FlotillaStore, at: number, least: number): Promise<ReadonlySet<number>> {
  const client = store.client(at);
  const path = `/collections/${COLLECTION}/points`;
  const counted = async (): Promise<number> => {
    const result = await call(client, "POST", `${path}/count?consistency=eventual`, { exact: true });
    return isRecord(result) ? Number(result["count"]) : 0;
  };
  const deadline = performance.now() + 10_000;
  while ((await counted()) < least && performance.now() < deadline) await sleep(FAILED_PAUSE_MS);
  const ids = new Set<number>();
  let offset: unknown = null;
  do {
    const ask = { limit: PAGE, with_payload: false, ...(offset === null ? {} : { offset }) };
    const result = await call(client, "POST", `${path}/scroll?consistency=eventual`, ask);
    if (!isRecord(result)) break;
    for (const { id } of result["points"] as readonly { readonly id: number }[]) ids.add(id);
    offset = result["next_page_offset"] ?? null;
  } while (offset !== null);
  return ids;
}
