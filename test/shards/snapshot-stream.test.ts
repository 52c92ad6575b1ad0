import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { open, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { expect, onTestFinished, test, vi } from "vitest";
import type { CapturedSnapshot } from "../../shards/index.ts";
import { StagingArea } from "../../shards/snapshot/staging-area.ts";
import {
  PIECE_BYTES,
  sendSnapshot,
  SnapshotReceiver,
  type Outgoing,
  type SnapshotWire,
} from "../../shards/snapshot/stream.ts";
import { list, pack, unpack } from "../../shards/transport/codec.ts";
import { scratch } from "./support/scratch.ts";
import { announce, body, captured } from "./support/snapshots.ts";

/** A stream of function calls between a sender and one staging area; `alter` sees each frame on its way there. */
class Wire implements SnapshotWire {
  readonly pieces: { readonly file: unknown; readonly offset: unknown }[] = [];
  readonly received: CapturedSnapshot[] = [];
  readonly failures: string[] = [];
  alter: (fields: readonly unknown[]) => readonly unknown[] | null = (fields) => fields;
  onFrame: (frame: Buffer) => void = () => undefined;
  onEnd: (failure: Error) => void = () => undefined;
  readonly #receiver: SnapshotReceiver;

  constructor(area: StagingArea) {
    this.#receiver = new SnapshotReceiver({
      area,
      write: (frame) => this.onFrame(frame),
      end: (why = "the stream ended") => this.break(why),
      received: (_, snapshot) => void this.received.push(snapshot),
      progress: () => undefined,
      failed: (_, error) => void this.failures.push(error.message),
    });
  }

  write(frame: Buffer): void {
    const fields = this.alter(list(unpack(frame)));
    if (fields === null) return;
    if (fields[0] === "piece") this.pieces.push({ file: fields[1], offset: fields[2] });
    this.#receiver.frame(pack(fields));
  }

  break(why: string): void {
    this.#receiver.ended();
    this.onEnd(new Error(why));
  }
}

const out = (snapshot: CapturedSnapshot, more: Partial<Outgoing> = {}): Outgoing => ({
  message: announce(),
  snapshot,
  bytesPerSecond: 1e12,
  progress: () => undefined,
  ...more,
});
const size = 40 * PIECE_BYTES + 17;
const graph = body(size);
const source = () => captured({ graph });

/** Sends until `pieces` have left, then the stream is gone. */
async function interrupted(area: StagingArea, pieces: number): Promise<void> {
  const wire = new Wire(area);
  wire.alter = (fields) => {
    if (fields[0] !== "piece" || wire.pieces.length < pieces) return fields;
    wire.break("the wire was cut");
    return null;
  };
  await expect(sendSnapshot(wire, out(source()))).rejects.toThrow("the wire was cut");
}

/** Until the broken stream has let go of its files, as a process that ended has. */
async function letGo(area: StagingArea): Promise<void> {
  const { group, message } = announce();
  if (message.kind !== "snapshot") throw new TypeError("a snapshot is announced");
  const { index, term } = message.meta;
  for (;;) {
    const incoming = await area.begin({ group, index, term, files: source().files });
    if (incoming !== null) return await incoming.pause();
    await setImmediate();
  }
}

/** Until a broken stream has let go of its files, another one is told that the area is busy. */
async function retried(open: () => Wire, snapshot: CapturedSnapshot): Promise<Wire> {
  for (;;) {
    const wire = open();
    if (await sendSnapshot(wire, out(snapshot))) return wire;
    // The broken one closes its files on a turn of the loop.
    await setImmediate();
  }
}

test.each(["the same process", "a restarted receiver"])(
  "after a break %s goes on where the files stand",
  async (who) => {
    const path = scratch();
    const area = new StagingArea(path);
    await interrupted(area, 25);
    if (who === "a restarted receiver") await letGo(area);
    const next = who === "the same process" ? area : new StagingArea(path);
    const wire = await retried(() => new Wire(next), source());
    const [first] = wire.pieces;
    expect(first?.offset).toBeGreaterThan(0);
    expect(wire.pieces.length).toBeLessThan(41);
    const [staged] = wire.received;
    expect(Buffer.compare((await staged?.read("graph", 0, size)) ?? Buffer.alloc(0), graph)).toBe(0);
    await staged?.[Symbol.asyncDispose]();
    expect(readdirSync(path)).toEqual([]);
  },
);

test("a piece that changed on its way ends the stream and is not kept", async () => {
  const path = scratch();
  const wire = new Wire(new StagingArea(path));
  wire.alter = (fields) => {
    if (fields[0] !== "piece" || fields[2] !== 3 * PIECE_BYTES) return fields;
    const piece = Uint8Array.from(fields[3] as Uint8Array);
    piece[100] = (piece[100] ?? 0) ^ 1;
    return fields.map((field, at) => (at === 3 ? piece : field));
  };
  await expect(sendSnapshot(wire, out(source()))).rejects.toThrow("a piece fails its checksum");
  expect(wire.failures).toEqual(["a piece fails its checksum"]);
  expect(wire.received).toEqual([]);
});

test("a file whose checksum does not hold is thrown away as a whole", async () => {
  const path = scratch();
  const wire = new Wire(new StagingArea(path));
  wire.alter = (fields) => {
    if (fields[0] !== "piece") return fields;
    const other = new Uint8Array((fields[3] as Uint8Array).length);
    return ["piece", fields[1], fields[2], other, crc32(other)];
  };
  expect(await sendSnapshot(wire, out(source()))).toBe(false);
  expect([wire.received, wire.failures]).toEqual([[], ["a file fails its checksum"]]);
  expect(readdirSync(path)).toEqual([]);
});

test("what could not be synced is not gone on with: a second sync would find nothing left to write", async () => {
  const path = scratch();
  const area = new StagingArea(path);
  const any = await open(join(scratch(), "any"), "w");
  const sync = vi.spyOn(Object.getPrototypeOf(any) as FileHandle, "sync");
  onTestFinished(() => sync.mockRestore());
  await any.close();
  sync.mockRejectedValueOnce(new Error("EIO: i/o error, fsync"));
  await expect(sendSnapshot(new Wire(area), out(source()))).rejects.toThrow("EIO");
  const wire = await retried(() => new Wire(area), source());
  expect(wire.pieces).toHaveLength(41);
  await wire.received[0]?.[Symbol.asyncDispose]();
});

test("a newer snapshot of the group takes the place of one that stands there half", async () => {
  const path = scratch();
  const area = new StagingArea(path);
  await interrupted(area, 5);
  const [half] = readdirSync(path);
  const newer = captured({ graph: body(1_000, 3) }, 12);
  const wire = await retried(() => new Wire(area), newer);
  expect(wire.pieces).toEqual([{ file: 0, offset: 0 }]);
  expect(existsSync(join(path, half ?? ""))).toBe(false);
  await wire.received[0]?.[Symbol.asyncDispose]();
});

test("a second stream for the same group is told that there is one", async () => {
  const area = new StagingArea(scratch());
  const first = new Wire(area);
  first.alter = (fields) => (fields[0] === "piece" ? null : fields);
  const waiting = sendSnapshot(first, out(source()));
  const second = new Wire(area);
  expect(await sendSnapshot(second, out(source()))).toBe(false);
  expect(second.pieces).toEqual([]);
  first.break("over");
  await expect(waiting).rejects.toThrow("over");
});

test("names that lead out of the staging directory are refused", async () => {
  const path = scratch();
  const wire = new Wire(new StagingArea(path));
  await expect(sendSnapshot(wire, out(captured({ "../outside": body(10) })))).rejects.toThrow(
    "no name of a file",
  );
  expect(readdirSync(path)).toEqual([]);
});

test("no more pieces than the window are on their way", async () => {
  const wire = new Wire(new StagingArea(scratch()));
  let read = 0;
  let got = 0;
  let most = 0;
  const snapshot = source();
  const counting: CapturedSnapshot = {
    ...snapshot,
    read: async (name, offset, length) => {
      most = Math.max(most, ++read - got);
      return await snapshot.read(name, offset, length);
    },
  };
  const sending = sendSnapshot(wire, out(counting));
  const answered = wire.onFrame;
  wire.onFrame = (frame) => {
    if (list(unpack(frame))[0] === "got") got++;
    answered(frame);
  };
  expect(await sending).toBe(true);
  expect(most).toBeLessThanOrEqual(16);
  await wire.received[0]?.[Symbol.asyncDispose]();
});

test("a transfer keeps to its rate", async () => {
  let nowMs = 0;
  const time = { nowMs: () => nowMs, wait: async (ms: number) => void (nowMs += ms) };
  const wire = new Wire(new StagingArea(scratch()));
  expect(await sendSnapshot(wire, out(source(), { bytesPerSecond: size / 10, time }))).toBe(true);
  expect(nowMs).toBeGreaterThan(9_800);
  expect(nowMs).toBeLessThan(10_100);
  await wire.received[0]?.[Symbol.asyncDispose]();
});

test("what nobody has gone on with for days is cleared away at a start", () => {
  const path = scratch();
  for (const name of ["3-9-4-aaaa", "4-9-4-bbbb"]) {
    mkdirSync(join(path, name));
    writeFileSync(join(path, name, "graph"), "half");
  }
  const longAgo = new Date(Date.now() - 3 * 86_400_000);
  utimesSync(join(path, "3-9-4-aaaa", "graph"), longAgo, longAgo);
  utimesSync(join(path, "3-9-4-aaaa"), longAgo, longAgo);
  expect(new StagingArea(path)).toBeDefined();
  expect(readdirSync(path)).toEqual(["4-9-4-bbbb"]);
});
