/**
 * A snapshot as frames of a stream:
 *
 *     sender                                   receiver
 *        begin (message, files) ──▶
 *        ◀── from (bytes held, per file)
 *        piece (file, offset, bytes, crc) ──▶     at most WINDOW unacknowledged, at the rate allowed
 *        ◀── got (bytes of all pieces so far)
 *        ◀── done (verified or not)
 */
import { setTimeout as pause } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { CapturedSnapshot, GroupMessage, LogIndex } from "../ports.ts";
import {
  bytes,
  decodeMessage,
  encodeMessage,
  list,
  pack,
  text,
  unpack,
  whole,
  WireError,
} from "../transport/codec.ts";
import {
  checkManifest,
  settledLater,
  type Incoming,
  type Manifest,
  type StagingArea,
} from "./staging-area.ts";

/**
 * Bytes of one piece. Each costs either side some 0.5 ms of processor whatever its size: twice as many of half the size
 * took a third more. Larger ones gain little, and would hold up everything else that wants the thread.
 */
export const PIECE_BYTES = 512 * 1024;
/** Pieces on their way; with those read ahead, what a snapshot costs in memory on either side. */
const WINDOW = 8;
/** Pieces read before they are due: the disk and the thread that owns the files work while others are sent. */
const READ_AHEAD = 4;

export interface Outgoing {
  readonly message: GroupMessage;
  readonly snapshot: CapturedSnapshot;
  /** Bytes per second; what a transfer sends beyond it waits. */
  readonly bytesPerSecond: number;
  readonly progress: (bytes: number, total: number) => void;
  /** Tests own the time. */
  readonly time?: PaceTime;
}

/** What pacing needs of time: a monotonic clock and a way to wait, both in milliseconds. */
export interface PaceTime {
  nowMs(): number;
  wait(ms: number): Promise<unknown>;
}

const SYSTEM_TIME: PaceTime = { nowMs: () => performance.now(), wait: (ms) => pause(ms) };

/** What the sender needs of the stream. */
export interface SnapshotWire {
  onFrame: (frame: Buffer) => void;
  onEnd: (failure: Error) => void;
  /** Lent until the receiver has answered it. */
  write(frame: Buffer): void;
}

/** Resolves true when the receiver verified it, false when it did not; rejects when the stream ends before. */
export async function sendSnapshot(wire: SnapshotWire, out: Outgoing): Promise<boolean> {
  const { message, snapshot } = out;
  const answers = new Answers(wire);
  const files = snapshot.files.map(({ name, bytes: size, sha256 }) => [name, size, sha256]);
  wire.write(pack(["begin", encodeMessage(message), files]));
  const [kind, held] = await answers.next();
  if (kind !== "from") return false;
  const offsets = list(held).map(whole);
  const total = snapshot.files.reduce((sum, file) => sum + file.bytes, 0);
  const pace = new Pace(out.bytesPerSecond, out.time ?? SYSTEM_TIME);
  let sent = offsets.reduce((sum, offset) => sum + offset, 0);
  const free: PieceFrame[] = [];
  const unacknowledged: PieceFrame[] = [];
  for await (const piece of piecesAhead(snapshot, offsets, free)) {
    await pace.wait(piece.length);
    wire.write(piece.frame);
    sent += piece.length;
    unacknowledged.push(piece);
    if (unacknowledged.length < WINDOW) continue;
    const [answer] = await answers.next();
    if (answer !== "got") return false;
    free.push(unacknowledged.shift() as PieceFrame);
    out.progress(sent, total);
  }
  for (;;) {
    const [answer, verified] = await answers.next();
    if (answer === "got") continue;
    return answer === "done" && verified === true;
  }
}

/**
 * A frame that a piece is read into, sent from, and lent again for the next one once the receiver has it: that makes no
 * copy of it, and leaves the collector alone, which goes through the heap whenever so much was allocated beside it.
 *
 * The bytes are those of `pack(["piece", file, offset, data, crc])`, with numbers of a fixed length.
 */
class PieceFrame {
  readonly #bytes = Buffer.allocUnsafeSlow(HEAD_BYTES + PIECE_BYTES + TAIL_BYTES);
  #length = 0;

  constructor() {
    this.#bytes.set(HEAD);
  }

  /** Fills it from the file at position `at`. */
  async read(snapshot: CapturedSnapshot, at: number, offset: number): Promise<this> {
    const { name, bytes: size } = snapshot.files[at] as CapturedSnapshot["files"][number];
    const wanted = Math.min(PIECE_BYTES, size - offset);
    const end = HEAD_BYTES + wanted;
    const data = this.#bytes.subarray(HEAD_BYTES, end);
    const piece = await snapshot.read(name, offset, wanted, data);
    if (piece.length < wanted)
      throw new RangeError(`${name} ends at ${offset + piece.length}, not at ${size}`);
    if (piece.buffer !== data.buffer) data.set(piece);
    this.#length = wanted;
    this.#bytes.writeUInt32BE(at, FILE_AT);
    this.#bytes.writeDoubleBE(offset, OFFSET_AT);
    this.#bytes.writeUInt32BE(wanted, LENGTH_AT);
    this.#bytes.writeUInt8(UINT32, end);
    this.#bytes.writeUInt32BE(crc32(data), end + 1);
    return this;
  }

  /** Of the file. */
  get length(): number {
    return this.#length;
  }
  get frame(): Buffer {
    return this.#bytes.subarray(0, HEAD_BYTES + this.#length + TAIL_BYTES);
  }
}

// Of MessagePack: an array of five, a string of five, and what kind of number each of these is.
const [UINT32, FLOAT64, BIN32] = [0xce, 0xcb, 0xc6];
const HEAD = Buffer.from([
  ...[0x95, 0xa5, ...Buffer.from("piece")],
  ...[UINT32, 0, 0, 0, 0],
  ...[FLOAT64, 0, 0, 0, 0, 0, 0, 0, 0],
  ...[BIN32, 0, 0, 0, 0],
]);
const HEAD_BYTES = HEAD.length;
const [FILE_AT, OFFSET_AT, LENGTH_AT] = [8, 13, 22];
const TAIL_BYTES = 1 + 4;

/** What the receiver lacks, in order; the next pieces are read while one is on its way. */
async function* piecesAhead(
  snapshot: CapturedSnapshot,
  held: readonly number[],
  free: PieceFrame[],
): AsyncGenerator<PieceFrame> {
  const ahead: Promise<PieceFrame>[] = [];
  try {
    for (const [at, file] of snapshot.files.entries())
      for (let offset = held[at] ?? 0; offset < file.bytes; offset += PIECE_BYTES) {
        ahead.push(settledLater((free.pop() ?? new PieceFrame()).read(snapshot, at, offset)));
        if (ahead.length > READ_AHEAD) yield await (ahead.shift() as Promise<PieceFrame>);
      }
    for (const read of ahead.splice(0)) yield await read;
  } finally {
    // The caller closes the snapshot next: nothing may still be reading it.
    await Promise.allSettled(ahead);
  }
}

/** The frames that come back, one at a time. */
class Answers {
  readonly #frames: (readonly unknown[])[] = [];
  #waiting: { resolve: (frame: readonly unknown[]) => void; reject: (error: Error) => void } | null = null;
  #failure: Error | null = null;

  constructor(wire: SnapshotWire) {
    wire.onFrame = (frame) => {
      const answer = list(unpack(frame));
      if (this.#waiting === null) this.#frames.push(answer);
      else this.#waiting.resolve(answer);
      this.#waiting = null;
    };
    wire.onEnd = (failure) => {
      this.#failure = failure;
      this.#waiting?.reject(failure);
      this.#waiting = null;
    };
  }

  next(): Promise<readonly unknown[]> {
    const frame = this.#frames.shift();
    if (frame !== undefined) return Promise.resolve(frame);
    if (this.#failure !== null) return Promise.reject(this.#failure);
    return new Promise((resolve, reject) => (this.#waiting = { resolve, reject }));
  }
}

/** Keeps a transfer below its rate, over stretches of a tenth of a second. */
class Pace {
  readonly #perMs: number;
  readonly #time: PaceTime;
  #dueMs: number;

  constructor(bytesPerSecond: number, time: PaceTime) {
    this.#perMs = bytesPerSecond / 1000;
    this.#time = time;
    this.#dueMs = time.nowMs();
  }

  async wait(size: number): Promise<void> {
    const nowMs = this.#time.nowMs();
    this.#dueMs = Math.max(this.#dueMs, nowMs - 100) + size / this.#perMs;
    if (this.#dueMs > nowMs) await this.#time.wait(this.#dueMs - nowMs);
  }
}

export interface ReceiverParts {
  readonly area: StagingArea;
  readonly write: (frame: Buffer) => void;
  readonly end: (why?: string) => void;
  readonly received: (message: GroupMessage, snapshot: CapturedSnapshot) => void;
  readonly progress: (group: number, bytes: number, total: number) => void;
  readonly failed: (group: number | null, error: Error) => void;
}

/** Takes the frames of one stream and stages what they carry. */
export class SnapshotReceiver {
  readonly #parts: ReceiverParts;
  /** Frames are worked off in order, though each may wait for the disk. */
  #work: Promise<void> = Promise.resolve();
  #message: GroupMessage | null = null;
  #manifest: Manifest | null = null;
  #incoming: Incoming | null = null;
  /** Of the pieces that were looked at; the last of them may not be written yet. */
  #got = 0;
  /** The last piece's, and its answer's. */
  #writing: Promise<void> = Promise.resolve();
  #ended = false;

  constructor(parts: ReceiverParts) {
    this.#parts = parts;
  }

  frame(frame: Buffer): void {
    const fields = list(unpack(frame));
    this.#work = this.#work.then(
      () => this.#take(fields),
      () => undefined,
    );
    this.#work.catch((error: unknown) =>
      this.#fail(error instanceof Error ? error : new Error(String(error))),
    );
  }

  ended(): void {
    this.#ended = true;
    // A frame that fails has said so itself.
    const work = this.#work.catch(() => undefined);
    void work.then(() => this.#pause());
  }

  async #take(fields: readonly unknown[]): Promise<void> {
    if (this.#ended) return;
    const [kind, ...rest] = fields;
    if (kind === "begin" && this.#incoming === null) return await this.#begin(rest);
    if (kind !== "piece" || this.#incoming === null)
      throw new WireError(`${String(kind)} is not expected here`);
    const piece = bytes(rest[2]);
    if (crc32(piece) !== whole(rest[3])) throw new WireError("a piece fails its checksum");
    const written = this.#incoming.append(whole(rest[0]), whole(rest[1]), piece);
    this.#got += piece.length;
    const got = this.#got;
    // One piece is written while the next is looked at; more would be memory that the sender's window does not bound.
    await this.#writing;
    this.#writing = settledLater(
      written.then(() => {
        if (!this.#ended) this.#parts.write(pack(["got", got]));
      }),
    );
    await this.#finishIfWhole();
  }

  async #begin([message, files]: readonly unknown[]): Promise<void> {
    const announced = decodeMessage(unpack(bytes(message)));
    if (announced.message.kind !== "snapshot") throw new WireError("a snapshot's message was expected");
    const { index, term } = announced.message.meta;
    const manifest = checkManifest({
      group: announced.group,
      index: index satisfies LogIndex,
      term,
      files: list(files).map((file) => {
        const [name, size, sha256] = list(file);
        return { name: text(name), bytes: whole(size), sha256: text(sha256) };
      }),
    });
    const incoming = await this.#parts.area.begin(manifest);
    if (incoming === null) {
      this.#parts.write(pack(["busy"]));
      return this.#parts.end();
    }
    this.#message = announced;
    this.#manifest = manifest;
    this.#incoming = incoming;
    this.#got = incoming.held.reduce((sum, size) => sum + size, 0);
    this.#parts.write(pack(["from", [...incoming.held]]));
    await this.#finishIfWhole();
  }

  async #finishIfWhole(): Promise<void> {
    const { files, group } = this.#manifest ?? { files: [], group: 0 };
    const total = files.reduce((sum, file) => sum + file.bytes, 0);
    this.#parts.progress(group, this.#got, total);
    if (this.#got < total) return;
    await this.#writing;
    const snapshot = (await this.#incoming?.finish()) ?? null;
    // From here on it belongs to whoever takes it.
    this.#incoming = null;
    if (snapshot !== null && this.#message !== null) this.#parts.received(this.#message, snapshot);
    else this.#parts.failed(group, new Error("a file fails its checksum"));
    this.#parts.write(pack(["done", snapshot !== null]));
    this.#parts.end();
  }

  #fail(error: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#parts.failed(this.#manifest?.group ?? null, error);
    void this.#pause();
    this.#parts.end(error.message);
  }

  async #pause(): Promise<void> {
    try {
      await this.#incoming?.pause();
    } catch (error) {
      const why = error instanceof Error ? error : new Error(String(error));
      this.#parts.failed(this.#manifest?.group ?? null, why);
    }
  }
}
