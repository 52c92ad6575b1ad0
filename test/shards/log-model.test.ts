import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MemoryLog, openSqliteLog } from "../../shards/adapters.ts";
import { GroupId, LogIndex } from "../../shards/index.ts";
import type { LogStore } from "../../shards/index.ts";
import type { GroupWrite } from "../../shards/ports.ts";
import type { Entry, HardState, SnapshotMeta } from "../../shards/raft/types.ts";
import { CONF, entry, hard, meta, plain } from "./log-conformance.ts";
import { scratch } from "./support/scratch.ts";

const GROUPS = [GroupId(1), GroupId(2)];

/** The obvious log: a list, and everything that was ever said about it. */
interface Model {
  entries: Entry[];
  hardState: HardState;
  boundary: SnapshotMeta;
}

/** What a step wants; numbers are cut to what is legal in the state it meets. */
interface Step {
  readonly kind: "append" | "hardState" | "compact" | "snapshot" | "all" | "reopen";
  readonly group: number;
  readonly back: number;
  readonly count: number;
  readonly newTerm: boolean;
  readonly bytes: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  kind: fc.constantFrom("append", "append", "append", "hardState", "compact", "snapshot", "all", "reopen"),
  group: fc.integer({ min: 0, max: 1 }),
  back: fc.integer({ min: 0, max: 6 }),
  count: fc.integer({ min: 1, max: 8 }),
  newTerm: fc.boolean(),
  bytes: fc.integer({ min: 0, max: 40_000 }),
});

/** The write a step stands for, carried out on the model too. */
function writeOf(model: Model, group: GroupId, wanted: Step): GroupWrite | null {
  const last = (): number => model.boundary.index + model.entries.length;
  const write: { -readonly [K in keyof GroupWrite]: GroupWrite[K] } = { group };
  const does = (kind: Step["kind"]): boolean => wanted.kind === kind || wanted.kind === "all";
  const term = model.hardState.term + (wanted.newTerm ? 1 : 0);
  if (wanted.kind === "snapshot") {
    write.snapshot = meta(last() + wanted.back, Math.max(1, term));
    if (write.snapshot.index <= model.hardState.commit || write.snapshot.index <= model.boundary.index)
      return null;
    model.boundary = write.snapshot;
    model.entries = [];
    write.hardState = hard(Math.max(1, term), 0, write.snapshot.index);
    model.hardState = write.hardState;
  }
  if (does("append")) {
    const from = Math.max(last() + 1 - wanted.back, model.hardState.commit + 1, model.boundary.index + 1);
    model.entries = model.entries.slice(0, from - 1 - model.boundary.index);
    const before = model.entries.at(-1)?.term ?? model.boundary.term;
    const kind = wanted.count % 3 === 0 ? "confChangeV2" : "normal";
    write.entries = Array.from({ length: wanted.count }, (_, at) =>
      entry(from + at, Math.max(before, term), `${from + at}`.padEnd(wanted.bytes, "."), kind),
    );
    model.entries.push(...write.entries);
  }
  if (does("hardState")) {
    write.hardState = hard(
      Math.max(term, model.entries.at(-1)?.term ?? 0),
      model.hardState.vote,
      Math.max(model.hardState.commit, last() - wanted.back),
    );
    model.hardState = write.hardState;
  }
  if (does("compact")) {
    const to = Math.max(model.boundary.index, model.hardState.commit - wanted.count);
    write.compactTo = meta(to, model.entries[to - model.boundary.index - 1]?.term ?? model.boundary.term);
    model.entries = model.entries.slice(to - model.boundary.index);
    model.boundary = write.compactTo;
  }
  return write;
}

function compare(store: LogStore, models: readonly Model[]): void {
  models.forEach((model, at) => {
    const log = store.open(GROUPS[at] ?? GroupId(0));
    const last = model.boundary.index + model.entries.length;
    expect([log.firstIndex(), log.lastIndex()]).toEqual([model.boundary.index + 1, last]);
    expect(log.hardState()).toEqual(model.hardState);
    expect(log.boundary()).toEqual(model.boundary);
    expect(log.bytes()).toBe(model.entries.reduce((sum, { data }) => sum + data.length + 64, 0));
    const [low, high] = [log.firstIndex(), LogIndex(last + 1)];
    expect(plain(log.entries(low, high, Infinity))).toEqual(plain(model.entries));
    expect(plain(log.membershipEntries(low, high))).toEqual(
      plain(model.entries.filter(({ kind }) => kind !== "normal")),
    );
    for (const { index, term } of model.entries) expect(log.term(index)).toBe(term);
  });
}

const seed = Number(process.env["FLOTILLA_TEST_SEED"] ?? Date.now() % 2 ** 31);

test.each([
  ["sqlite", 60, 200_000],
  ["sqlite without a cache", 30, 0],
  ["memory", 200, 0],
])(
  `%s answers like the obvious list after any history (FLOTILLA_TEST_SEED=${seed})`,
  async (name, numRuns, cacheBytesMax) => {
    const open = async (path: string): Promise<LogStore> =>
      name === "memory" ? new MemoryLog() : await openSqliteLog({ path, cacheBytesMax });
    let run = 0;
    const directory = scratch();
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 25 }), async (steps) => {
        const path = join(directory, `${run++}.db`);
        let store = await open(path);
        const models = GROUPS.map((): Model => ({
          entries: [],
          hardState: hard(0, 0, 0),
          boundary: meta(0, 0),
        }));
        for (const group of GROUPS) await store.create(group, meta(0, 0, CONF));
        for (const wanted of steps) {
          const model = models[wanted.group];
          if (wanted.kind !== "reopen" && model !== undefined) {
            const write = writeOf(model, GROUPS[wanted.group] ?? GroupId(0), wanted);
            if (write !== null) await store.write([write]);
          } else if (name !== "memory") {
            await store[Symbol.asyncDispose]();
            store = await open(path);
          }
          compare(store, models);
        }
        await store[Symbol.asyncDispose]();
      }),
      { seed, numRuns },
    );
  },
);
