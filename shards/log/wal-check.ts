/**
 * Tells a torn end of SQLite's write-ahead file from damage in its middle. SQLite stops at the first frame whose
 * checksum fails and forgets the rest without a word; for a log that means forgetting votes and acknowledgements. Every
 * transaction here was fsynced before the next one was written, so a sound frame behind the end of the transaction that
 * holds the bad one proves that it had been durable, and that the bad frame is damage.
 * (File format: https://www.sqlite.org/fileformat2.html#walformat.)
 */
import { readFileSync } from "node:fs";
import { LogError } from "../ports.ts";

const HEADER_BYTES = 32;
const FRAME_HEADER_BYTES = 24;
const MAGIC_LITTLE_ENDIAN = 0x377f0682;

/** Two running sums. Each checksum in the file goes on from the one before. */
type Sums = readonly [number, number];

/** Before SQLite opens the file. LOG_CORRUPT when something that was durable would be forgotten. */
export function checkWal(path: string): void {
  let file: Buffer;
  try {
    file = readFileSync(`${path}-wal`);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return;
    throw error;
  }
  const wal = Wal.parse(file);
  if (wal === null) return;
  const bad = wal.firstBad();
  if (bad !== null && wal.wasDurable(bad.frame, bad.before))
    throw new LogError(
      "LOG_CORRUPT",
      `the log ${path} is damaged: frame ${bad.frame} of its WAL fails its checksum, and later transactions follow it; ` +
        "remove this node and let it join again",
    );
}

class Wal {
  readonly #view: DataView;
  readonly #littleEndian: boolean;
  readonly #pageBytes: number;
  readonly #count: number;

  private constructor(view: DataView) {
    this.#view = view;
    this.#littleEndian = view.getUint32(0) === MAGIC_LITTLE_ENDIAN;
    this.#pageBytes = view.getUint32(8);
    this.#count = Math.floor((view.byteLength - HEADER_BYTES) / (FRAME_HEADER_BYTES + this.#pageBytes));
  }

  /** null when there is nothing SQLite would read: a header torn while the file was begun anew, or none yet. */
  static parse(file: Buffer): Wal | null {
    if (file.length < HEADER_BYTES) return null;
    const view = new DataView(file.buffer, file.byteOffset, file.length);
    if ((view.getUint32(0) & ~1) >>> 0 !== MAGIC_LITTLE_ENDIAN || view.getUint32(8) === 0) return null;
    const wal = new Wal(view);
    return same(wal.#sum([0, 0], 0, 24), wal.#sumsAt(24)) ? wal : null;
  }

  /** The frame SQLite stops at, and the sums up to it; null when all are sound. */
  firstBad(): { readonly frame: number; readonly before: Sums } | null {
    let before = this.#sumsAt(24);
    for (let frame = 0; frame < this.#count; frame++) {
      const sums = this.#soundAfter(before, frame);
      if (sums === null) return { frame, before };
      before = sums;
    }
    return null;
  }

  /** True when sound frames go on behind the bad one beyond the end of its transaction. */
  wasDurable(bad: number, before: Sums): boolean {
    // Either its page or header is damaged and its checksum is right, or the other way round.
    for (const start of [this.#sumsAt(this.#offset(bad) + 16), this.#frameSums(before, bad)]) {
      let ended = this.#commits(bad);
      let sums: Sums | null = start;
      for (let frame = bad + 1; frame < this.#count; frame++) {
        sums = this.#soundAfter(sums, frame);
        if (sums === null) break;
        if (ended) return true;
        ended = this.#commits(frame);
      }
    }
    return false;
  }

  #soundAfter(before: Sums, frame: number): Sums | null {
    const at = this.#offset(frame);
    // Frames of an earlier round of the file carry other salts.
    if (this.#view.getUint32(at + 8) !== this.#view.getUint32(16)) return null;
    if (this.#view.getUint32(at + 12) !== this.#view.getUint32(20)) return null;
    const sums = this.#frameSums(before, frame);
    return same(sums, this.#sumsAt(at + 16)) ? sums : null;
  }

  #frameSums(before: Sums, frame: number): Sums {
    const at = this.#offset(frame);
    return this.#sum(this.#sum(before, at, 8), at + FRAME_HEADER_BYTES, this.#pageBytes);
  }

  #commits(frame: number): boolean {
    return this.#view.getUint32(this.#offset(frame) + 4) !== 0;
  }

  #offset(frame: number): number {
    return HEADER_BYTES + frame * (FRAME_HEADER_BYTES + this.#pageBytes);
  }

  #sumsAt(at: number): Sums {
    return [this.#view.getUint32(at), this.#view.getUint32(at + 4)];
  }

  #sum([first, second]: Sums, from: number, bytes: number): Sums {
    let [a, b] = [first, second];
    for (let at = from; at < from + bytes; at += 8) {
      a = (a + this.#view.getUint32(at, this.#littleEndian) + b) >>> 0;
      b = (b + this.#view.getUint32(at + 4, this.#littleEndian) + a) >>> 0;
    }
    return [a, b];
  }
}

function same(left: Sums, right: Sums): boolean {
  return left[0] === right[0] && left[1] === right[1];
}
