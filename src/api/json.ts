/** From bytes to a JSON value, once: valid UTF-8, bounded depth, and an error that says where. */
import { isUtf8 } from "node:buffer";
import { ApiError } from "./errors.ts";
import { optionOf, type Limits } from "./limits.ts";

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;

/**
 * `what`: as errors call it. Throws BAD_REQUEST for what is not JSON in UTF-8 or nested deeper than `limits.jsonDepth`. Keys such as `__proto__`
 * become plain own fields here (JSON.parse defines, it does not assign); schemas refuse them as unknown, payload
 * checks by name.
 */
export function parseJson(bytes: Buffer, limits: Limits, what = "JSON body"): unknown {
  if (bytes.length === 0) throw bad(what, "it is empty");
  if (!isUtf8(bytes)) throw bad(what, "it is not valid UTF-8");
  checkDepth(bytes, limits.jsonDepth, what);
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw bad(what, reason.length > 200 ? `${reason.slice(0, 200)}...` : reason, cause);
  }
}

/** The parser itself takes seconds and a gigabyte for millions of open brackets, so depth is bounded before it runs. */
export function checkDepth(bytes: Buffer, most: number, what = "JSON body"): void {
  if (hasFewOpeners(bytes, most)) return;
  const words = new PlainWords(bytes);
  let depth = 0;
  for (let i = words.skip(0); i < bytes.length; i = words.skip(i + 1)) {
    const byte = bytes[i];
    if (byte === QUOTE) i = endOfString(bytes, i + 1);
    else if (byte === OPEN_BRACKET || byte === OPEN_BRACE) {
      if (++depth > most)
        throw bad(
          what,
          `nested deeper than the ${most} levels allowed (option \`${optionOf("jsonDepth")}\`) at byte ${i}`,
        );
    } else if (byte === CLOSE_BRACKET || byte === CLOSE_BRACE) depth--;
  }
}

/**
 * Passes over numbers four bytes at a time: digits, signs, commas and blanks have bit 6 clear, which brackets, braces
 * and letters have set, and are no quotes. Bodies are mostly vectors, and this is a tenth of what parsing them costs.
 */
class PlainWords {
  readonly #skew: number;
  readonly #words: Int32Array;
  constructor(bytes: Buffer) {
    this.#skew = Math.min(bytes.length, -bytes.byteOffset & 3);
    this.#words = new Int32Array(
      bytes.buffer,
      bytes.byteOffset + this.#skew,
      (bytes.length - this.#skew) >> 2,
    );
  }

  /** The first index from `from` on that may be of interest; `from` itself unless a word begins there. */
  skip(from: number): number {
    const past = from - this.#skew;
    if (past < 0 || (past & 3) !== 0) return from;
    const words = this.#words;
    let at = past >> 2;
    for (; at < words.length; at++) {
      const word = words[at] as number;
      const quotes = word ^ 0x22222222;
      if ((word & 0x40404040) !== 0 || ((quotes - 0x01010101) & ~quotes & 0x80808080) !== 0) break;
    }
    return this.#skew + (at << 2);
  }
}

/** Most requests have a handful of brackets: finding these takes a hundredth of looking at every byte. */
function hasFewOpeners(bytes: Buffer, most: number): boolean {
  let found = 0;
  for (const opener of [OPEN_BRACKET, OPEN_BRACE]) {
    for (let at = bytes.indexOf(opener); at !== -1; at = bytes.indexOf(opener, at + 1))
      if (++found > most) return false;
  }
  return true;
}

/** Index of the closing quote, or the end of the bytes. */
function endOfString(bytes: Buffer, from: number): number {
  for (let i = from; i < bytes.length; i++) {
    if (bytes[i] === BACKSLASH) i++;
    else if (bytes[i] === QUOTE) return i;
  }
  return bytes.length;
}

const bad = (what: string, why: string, cause?: unknown): ApiError =>
  new ApiError("BAD_REQUEST", `Format error in ${what}: ${why}`, {}, { cause });
