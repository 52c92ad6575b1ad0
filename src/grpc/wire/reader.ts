/** Reads the Protocol Buffers wire format from one buffer, within bounds that nested messages narrow. */
import { isUtf8 } from "node:buffer";
import type { ErrorCode } from "../../api/errors.ts";

export const VARINT = 0;
export const FIXED64 = 1;
export const BYTES = 2;
export const FIXED32 = 5;

/** 2^21: what a number weighs above its lowest three groups of seven bits. */
const HIGH = 2 ** 21;
/** Numbers up to here are exact. */
const SAFE_HIGH = 2 ** 32;

export class Reader {
  readonly #bytes: Buffer;
  readonly #view: DataView;
  readonly #partsMax: number;
  #parts = 0;
  at = 0;
  end: number;

  /** `partsMax`: so many messages may lie within the one that is read. */
  constructor(bytes: Buffer, partsMax = Infinity) {
    this.#bytes = bytes;
    this.#partsMax = partsMax;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    this.end = bytes.length;
  }

  /** Below 2^53, or Infinity for what is larger; ten bytes at most. */
  varint(): number {
    const bytes = this.#bytes;
    let low = 0;
    for (let shift = 0; shift < 21; shift += 7) {
      const byte = this.#next();
      low |= (byte & 0x7f) << shift;
      if (byte < 0x80) return low;
    }
    let high = 0;
    for (let power = 1, read = 3; read < 10; read++, power *= 128) {
      if (this.at >= this.end) throw broken("a number breaks off");
      const byte = bytes[this.at++] as number;
      high += (byte & 0x7f) * power;
      if (byte < 0x80) return high < SAFE_HIGH ? high * HIGH + low : Infinity;
    }
    throw broken("a number has more than ten bytes");
  }

  /** A field's number and wire type. */
  tag(): number {
    const tag = this.varint();
    if (tag < 8 || tag > 0xffff_ffff) throw broken("a field has no valid number");
    return tag;
  }

  float(): number {
    const value = this.#view.getFloat32(this.#take(4), true);
    return value;
  }

  /** A view of the bytes, not a copy. */
  bytes(): Buffer {
    const length = this.#length();
    const from = this.#take(length);
    return this.#bytes.subarray(from, from + length);
  }

  text(): string {
    const length = this.#length();
    const from = this.#take(length);
    const text = this.#bytes.toString("utf8", from, from + length);
    // What cannot be decoded becomes U+FFFD, which may also have been sent.
    if (text.includes("\ufffd") && !isUtf8(this.#bytes.subarray(from, from + length)))
      throw broken("a text is not valid UTF-8");
    return text;
  }

  /** Packed floats, copied into an array of their own. */
  floats(): Float32Array {
    const length = this.#length();
    if (length % 4 !== 0) throw broken("a vector breaks off within a number");
    const from = this.#take(length);
    const floats = new Float32Array(length / 4);
    new Uint8Array(floats.buffer).set(this.#bytes.subarray(from, from + length));
    return floats;
  }

  /** Narrows the bounds to the message that begins here; returns the end to go back to with {@link leave}. */
  enter(): number {
    // An empty one takes two bytes here and fifty times as many as an object.
    if (++this.#parts > this.#partsMax)
      throw new WireError(
        "TOO_LARGE",
        `is one too many: no request within the limits (options \`limits.batch_points\`, ` +
          `\`limits.batch_queries\`, \`limits.batch_operations\`) has more than ${this.#partsMax} parts`,
      );
    const outer = this.end;
    const length = this.#length();
    if (length > outer - this.at) throw broken("a message breaks off");
    this.end = this.at + length;
    return outer;
  }
  leave(outer: number): void {
    this.end = outer;
  }

  skip(wireType: number): void {
    if (wireType === VARINT) this.varint();
    else if (wireType === FIXED64) this.#take(8);
    else if (wireType === BYTES) this.#take(this.#length());
    else if (wireType === FIXED32) this.#take(4);
    else throw broken(`there is no wire type ${wireType} in use`);
  }

  #length(): number {
    return this.varint();
  }

  #take(length: number): number {
    const from = this.at;
    if (length > this.end - from) throw broken("a field breaks off");
    this.at = from + length;
    return from;
  }

  #next(): number {
    if (this.at >= this.end) throw broken("a number breaks off");
    return this.#bytes[this.at++] as number;
  }
}

/** What is wrong with a message, and where: names of fields are put before as it passes through their messages. */
export class WireError extends Error {
  override readonly name = "WireError";
  readonly code: ErrorCode;
  path = "";
  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
  within(field: string): void {
    this.path = this.path === "" ? field : `${field}.${this.path}`;
  }
}

export const broken = (why: string): WireError => new WireError("BAD_REQUEST", `is broken: ${why}`);
