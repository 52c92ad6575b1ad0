/** Reading and writing the bytes of entries. Every read is checked against the end; nothing is trusted. */
import { invariant } from "./errors.ts";

/** These bytes are no entry; the message says why, the same on every replica. */
export class UnreadableEntry extends Error {
  override readonly name = "UnreadableEntry";
}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
const LITTLE = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1;
invariant(LITTLE, "the processor is little-endian, as the bytes of vectors are");

export class ByteWriter {
  #bytes = Buffer.allocUnsafe(1024);
  #at = 0;

  u8(value: number): void {
    this.#reserve(1);
    this.#bytes[this.#at++] = value;
  }

  u32(value: number): void {
    this.#reserve(4);
    this.#at = this.#bytes.writeUInt32LE(value, this.#at);
  }

  f64(value: number): void {
    this.#reserve(8);
    this.#at = this.#bytes.writeDoubleLE(value, this.#at);
  }

  text(value: string, bytesMax: number, what: string): void {
    const bytes = Buffer.byteLength(value);
    if (bytes > bytesMax) throw new RangeError(`${what} has at most ${bytesMax} bytes, not ${bytes}`);
    this.u32(bytes);
    this.#reserve(bytes);
    this.#bytes.write(value, this.#at, "utf8");
    // A lone surrogate would silently become another character, and two ids one.
    if (bytes !== value.length && this.#bytes.toString("utf8", this.#at, this.#at + bytes) !== value)
      throw new RangeError(`${what} has no lone surrogates`);
    this.#at += bytes;
  }

  floats(values: Float32Array): void {
    this.#reserve(values.byteLength);
    this.#bytes.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), this.#at);
    this.#at += values.byteLength;
  }

  /** The bytes so far, in memory of their own, so that they can be given to another thread. */
  finish(): Uint8Array {
    return new Uint8Array(this.#bytes.subarray(0, this.#at));
  }

  #reserve(bytes: number): void {
    if (this.#at + bytes <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#at + bytes));
    this.#bytes.copy(larger, 0, 0, this.#at);
    this.#bytes = larger;
  }
}

export class ByteReader {
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  u8(): number {
    return this.#view.getUint8(this.#take(1));
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  f64(): number {
    return this.#view.getFloat64(this.#take(8), true);
  }

  /** A count of things that take at least `bytesEach`: more than could follow is refused before anything is made. */
  count(bytesEach: number, most: number, what: string): number {
    const count = this.u32();
    if (count > most) throw new UnreadableEntry(`an entry has at most ${most} ${what}, not ${count}`);
    if (count * bytesEach > this.#bytes.length - this.#at)
      throw new UnreadableEntry("the entry is cut short");
    return count;
  }

  text(bytesMax: number, what: string): string {
    const bytes = this.u32();
    if (bytes > bytesMax) throw new UnreadableEntry(`${what} has at most ${bytesMax} bytes, not ${bytes}`);
    const start = this.#take(bytes);
    try {
      return UTF8.decode(this.#bytes.subarray(start, start + bytes));
    } catch (thrown) {
      throw new UnreadableEntry(`${what} is UTF-8`, { cause: thrown });
    }
  }

  /** A copy: entries lie at any offset, float arrays only at multiples of four. */
  floats(count: number): Float32Array {
    const start = this.#take(count * 4);
    const copy = new Float32Array(count);
    new Uint8Array(copy.buffer).set(this.#bytes.subarray(start, start + count * 4));
    return copy;
  }

  end(): void {
    if (this.#at !== this.#bytes.length) throw new UnreadableEntry("the entry has bytes after its end");
  }

  #take(bytes: number): number {
    const start = this.#at;
    if (bytes > this.#bytes.length - start) throw new UnreadableEntry("the entry is cut short");
    this.#at = start + bytes;
    return start;
  }
}
