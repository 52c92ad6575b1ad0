import { describe, expect, test } from "vitest";
import { GroupId, LogError } from "../../shards/ports.ts";
import type { GroupWrite } from "../../shards/ports.ts";
import { LogIndex, NodeId, Term } from "../../shards/raft/types.ts";
import { Dice } from "./dice.ts";
import { SimDisk } from "./disk.ts";
import type { WriteFate } from "./disk.ts";
import { SimProcess } from "./process.ts";
import { Timeline } from "./timeline.ts";
import { run } from "./run.ts";
import { shrink } from "./shrink.ts";

const EXACT = { offsetMs: 0, perMille: 1000 };

async function runDry(timeline: Timeline, limit = 1_000): Promise<void> {
  for (let i = 0; i < limit && (await timeline.step()); i++);
}

describe("dice", () => {
  test("a fork gives the same numbers however much was drawn elsewhere", () => {
    const [a, b] = [new Dice("seed"), new Dice("seed")];
    for (let i = 0; i < 100; i++) a.below(10);
    const draw = (dice: Dice): number[] => Array.from({ length: 20 }, () => dice.below(1_000));
    expect(draw(a.fork("network"))).toEqual(draw(b.fork("network")));
    expect(draw(a.fork("network"))).not.toEqual(draw(a.fork("disk")));
  });

  test("every face comes up about equally often", () => {
    const dice = new Dice("faces");
    const counts = new Array<number>(6).fill(0);
    for (let i = 0; i < 6_000; i++) {
      const face = dice.below(6);
      counts[face] = (counts[face] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 1_000)).toBeLessThan(130);
  });
});

describe("the timeline", () => {
  test("goes by time, and by order of scheduling within a moment", async () => {
    const timeline = new Timeline();
    const seen: string[] = [];
    const note = (what: string) => () => seen.push(`${timeline.nowUs} ${what}`);
    timeline.after(20, note("late"));
    timeline.after(10, note("first"));
    timeline.after(10, note("second"));
    timeline.after(0, note("now"));
    await runDry(timeline);
    expect(seen).toEqual(["0 now", "10 first", "10 second", "20 late"]);
  });

  test("a chain of promises, however long, comes to rest before the next event", async () => {
    const timeline = new Timeline();
    let links = 0;
    const chain = async (): Promise<void> => {
      for (let i = 0; i < 10_000; i++) {
        await Promise.resolve();
        links++;
      }
    };
    timeline.after(0, () => {
      void chain();
    });
    let seen = -1;
    timeline.after(1, () => {
      seen = links;
    });
    await runDry(timeline);
    expect(seen).toBe(10_000);
  });
});

describe("a process", () => {
  test("hears nothing after its death", async () => {
    const timeline = new Timeline();
    const process = new SimProcess(timeline, EXACT, () => undefined);
    let heard = 0;
    process.after(10, () => heard++);
    timeline.after(5, () => {
      process.kill();
    });
    await runDry(timeline);
    expect(heard).toBe(0);
  });

  test("an interval that became due during a pause fires once when it ends", async () => {
    const timeline = new Timeline();
    const process = new SimProcess(timeline, EXACT, () => undefined);
    const ticks: number[] = [];
    const stop = process.every(10, () => ticks.push(timeline.nowUs / 1000));
    timeline.after(15_000, () => {
      process.pause();
    });
    timeline.after(55_000, () => {
      process.resume();
    });
    timeline.after(72_000, stop);
    await runDry(timeline);
    expect(ticks).toEqual([10, 55, 60, 70]);
  });

  test("a clock may run fast", async () => {
    const timeline = new Timeline();
    const process = new SimProcess(timeline, { offsetMs: 500, perMille: 1_100 }, () => undefined);
    timeline.after(1_000_000, () => undefined);
    await runDry(timeline);
    expect(process.nowMs()).toBeCloseTo(1_600, 6);
  });
});

describe("the disk", () => {
  const group = GroupId(1);
  const conf = { voters: [NodeId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  const write = (index: number): GroupWrite => ({
    group,
    entries: [{ term: Term(1), index: LogIndex(index), kind: "normal", data: new Uint8Array(3) }],
    hardState: { term: Term(1), vote: NodeId(1), commit: LogIndex(index) },
  });

  async function prepared(fate: (nth: number) => WriteFate) {
    const timeline = new Timeline();
    const disk = new SimDisk({ node: NodeId(1), fate, writes: () => undefined });
    const store = disk.open(new SimProcess(timeline, EXACT, () => undefined));
    const created = store.create(group, { index: LogIndex(0), term: Term(0), conf });
    await runDry(timeline);
    await created;
    return { timeline, disk, store };
  }

  test("shows a transaction when it is synced, not before", async () => {
    const { timeline, store } = await prepared(() => ({ kind: "synced", afterUs: 50 }));
    const log = store.open(group);
    const written = store.write([write(1)]);
    expect(log.lastIndex()).toBe(0);
    await runDry(timeline);
    await written;
    expect([log.lastIndex(), log.hardState().commit]).toEqual([1, 1]);
  });

  test("a crash loses the pending transaction as a whole, or keeps it as a whole", async () => {
    for (const pendingSurvives of [false, true]) {
      const { disk, store } = await prepared(() => ({ kind: "synced", afterUs: 50 }));
      void store.write([write(1)]);
      disk.crash({ pendingSurvives });
      const image = disk.images.get(group);
      expect([image?.lastIndex, image?.hardState.term]).toEqual(pendingSurvives ? [1, 1] : [0, 0]);
    }
  });

  test("nothing follows a failed write", async () => {
    const { timeline, store } = await prepared(() => ({
      kind: "failed",
      afterUs: 5,
      code: "LOG_IO",
      kept: false,
    }));
    const failing = expect(store.write([write(1)])).rejects.toMatchObject({ code: "LOG_IO" });
    await runDry(timeline);
    await failing;
    expect(() => store.write([write(1)])).toThrow(LogError);
  });

  test("damage is found on opening, never answered with an empty log", async () => {
    const { timeline, disk } = await prepared(() => ({ kind: "synced", afterUs: 50 }));
    disk.corrupt = true;
    expect(() => disk.open(new SimProcess(timeline, EXACT, () => undefined))).toThrow(/checksum/);
  });
});

describe("a run", () => {
  test("is a function of its seed", async () => {
    const [a, b] = [await run({ seed: 7, steps: 2_000 }), await run({ seed: 7, steps: 2_000 })];
    expect(b.hash).toBe(a.hash);
    const other = await run({ seed: 8, steps: 2_000 });
    expect(other.hash).not.toBe(a.hash);
  });

  test("can be repeated from what was recorded, without dice", async () => {
    const drawn = await run({ seed: 11, steps: 2_000, record: true });
    expect(drawn.recorded?.size).toBeGreaterThan(100);
    const again = await run({ seed: 11, steps: 2_000, replay: drawn.recorded ?? new Map() });
    expect(again.hash).toBe(drawn.hash);
  });

  test("the shrinker finds the two decisions that matter among two hundred", async () => {
    const recorded = new Map(Array.from({ length: 200 }, (_, i) => [`d${i}`, i] as const));
    const base = await run({ seed: 1, steps: 10 });
    const small = await shrink({ seed: 1, steps: 10, invariant: "planted" }, recorded, {
      maxRuns: 500,
      run: async ({ replay }) =>
        Promise.resolve({
          ...base,
          failure:
            replay?.has("d17") === true && replay.has("d163")
              ? { invariant: "planted", message: "both", atUs: 0 }
              : null,
        }),
    });
    expect([...(small?.decisions.keys() ?? [])]).toEqual(["d17", "d163"]);
    expect(small?.runs).toBeLessThan(150);
  });

  test("the shrinker drops what a failing run never asked for, and whole classes in one run each", async () => {
    const names = ["net:g1:1>2:append:t1", "net:g1:2>1:append:t1", "client:1", "client:2", "apply"];
    const recorded = new Map(
      names.flatMap((name) => Array.from({ length: 50 }, (_, i) => [`${name}:${i}`, i] as const)),
    );
    const base = await run({ seed: 1, steps: 10 });
    const small = await shrink({ seed: 1, steps: 10, invariant: "planted" }, recorded, {
      maxRuns: 500,
      run: async ({ replay }) =>
        Promise.resolve({
          ...base,
          // Nothing behind the twentieth decision of a class is ever asked for.
          recorded: new Map([...(replay ?? [])].filter(([, value]) => Number(value) < 20)),
          failure:
            replay?.has("client:2:7") === true ? { invariant: "planted", message: "one", atUs: 0 } : null,
        }),
    });
    expect([...(small?.decisions.keys() ?? [])]).toEqual(["client:2:7"]);
    expect(small?.runs).toBeLessThan(25);
  });
});
