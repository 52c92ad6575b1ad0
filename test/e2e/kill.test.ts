import { expect, test } from "vitest";
import { Client, type Answer } from "./support/client.ts";
import { NodeProcess, temporaryDirectory } from "./support/node-process.ts";

/** Kills of one run; the long form sets it to 50. */
const KILLS = Number(process.env["FLOTILLA_KILLS"] ?? 4);
const SEED = Number(process.env["FLOTILLA_SEED"] ?? 1);
const LANES = 4;
const IDS_PER_LANE = 12;
const BATCH = 4;

/** What an id may hold: the number written last, or null when deleted or never written. */
type Value = number | null;
type Change = ReadonlyMap<number, Value>;

/** One client with ids of its own: it knows what was acknowledged, and what was under way when the node died. */
class Lane {
  readonly acknowledged = new Map<number, Value>();
  underWay: Change | null = null;
  readonly #first: number;
  readonly #draw: (bound: number) => number;
  #written: number;

  constructor(first: number, draw: (bound: number) => number) {
    this.#first = first;
    this.#draw = draw;
    this.#written = first * 1_000_000;
    for (let id = first; id < first + IDS_PER_LANE; id++) this.acknowledged.set(id, null);
  }

  /** Writes until the node is gone. */
  async run(client: Client, acknowledge: () => void): Promise<void> {
    for (;;) {
      const { change, answer } = this.#next(client);
      this.underWay = change;
      const ended = await answer.catch(() => null);
      if (ended === null) return;
      expect(ended.status, JSON.stringify(ended.body)).toBe(200);
      for (const [id, value] of change) this.acknowledged.set(id, value);
      this.underWay = null;
      acknowledge();
    }
  }

  /** One entry each: a batch of upserts, or a few deletes. */
  #next(client: Client): { readonly change: Change; readonly answer: Promise<Answer> } {
    const start = this.#draw(IDS_PER_LANE - BATCH);
    const ids = Array.from({ length: BATCH }, (_, at) => this.#first + start + at);
    if (this.#draw(4) === 0) {
      return { change: new Map(ids.map((id) => [id, null])), answer: client.remove("c", ids) };
    }
    const n = ++this.#written;
    const points = ids.map((id) => ({ id, vector: [id, n % 7, 1, 0], payload: { n } }));
    return { change: new Map(ids.map((id) => [id, n])), answer: client.upsert("c", points) };
  }

  /** Everything acknowledged is there; what was under way is there as a whole or not at all. */
  check(found: ReadonlyMap<number | string, { readonly payload: unknown }>): void {
    const valueOf = (id: number): Value =>
      (found.get(id)?.payload as { readonly n: number } | undefined)?.n ?? null;
    const now = new Map([...this.acknowledged.keys()].map((id) => [id, valueOf(id)]));
    const after = new Map([...this.acknowledged, ...(this.underWay ?? [])]);
    const happened =
      this.underWay !== null && [...this.underWay].every(([id, value]) => now.get(id) === value);
    expect(now).toEqual(happened ? after : this.acknowledged);
    for (const [id, value] of now) this.acknowledged.set(id, value);
    this.underWay = null;
  }
}

/** Small, seeded, good enough to choose ids and moments. */
function dice(seed: number): (bound: number) => number {
  let state = seed * 2654435761;
  return (bound) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x9e3779b9) >>> 0;
    return (state >>> 8) % bound;
  };
}

interface ShardAnswer {
  readonly shards: readonly { readonly replicas: readonly { readonly state_hash: string }[] }[];
}

test(
  `killed ${KILLS} times under mixed writes, a node keeps all that was acknowledged and nothing by halves (seed ${SEED})`,
  async () => {
    using directory = temporaryDirectory();
    const draw = dice(SEED);
    const lanes = Array.from({ length: LANES }, (_, at) => new Lane(1 + at * IDS_PER_LANE, draw));
    const hashOf = async (client: Client): Promise<string | undefined> => {
      const { body } = await client.call("GET", "/collections/c/shards");
      return (body.result as ShardAnswer).shards[0]?.replicas[0]?.state_hash;
    };
    for (let kill = 0; kill < KILLS; kill++) {
      await using node = await NodeProcess.start({ dataDir: directory.path });
      const client = new Client(node.url);
      if (kill === 0) await client.create("c", { size: 4 });
      let left = 20 + draw(60);
      const enough = new Promise<void>((resolve) => {
        const acknowledge = (): void => {
          if (--left === 0) resolve();
        };
        void Promise.all(lanes.map((lane) => lane.run(client, acknowledge)));
      });
      await enough;
      await node.kill();

      await using again = await NodeProcess.start({ dataDir: directory.path });
      const after = new Client(again.url);
      const found = await after.all("c");
      for (const lane of lanes) lane.check(found);
      const hash = await hashOf(after);
      await again.kill();

      // Nothing was written in between: the same log gives the same state, whatever was replayed of it.
      await using third = await NodeProcess.start({ dataDir: directory.path });
      expect(await hashOf(new Client(third.url))).toBe(hash);
      await third.stop();
    }
  },
  60_000 + KILLS * 10_000,
);
