/**
 * The frames of a stream between two nodes, as msgpackr arrays.
 *
 *   [CALL id method timeoutMs request]  [CANCEL id]      from the caller
 *   [REPLY id reply]  [FAIL id code message details]     from the one who is asked
 *   [BULK bytes]                                         both: the next messages are pieces of one frame of that size
 *
 * A large frame goes in pieces so that it fits whatever message size the gRPC server was set to.
 */
import { Packr } from "msgpackr";
import { BadFrame, type WireError } from "./errors.ts";

/** Longest frame: 10,000 points of 1,536 dimensions with room to spare. */
export const FRAME_BYTES_MAX = 128 << 20;
/** Well below the 4 MiB that a gRPC message may have by default. */
const PIECE_BYTES = 1 << 20;

const CALL = 0;
const CANCEL = 1;
const REPLY = 2;
const FAIL = 3;
const BULK = 4;

export type CallerFrame =
  | {
      readonly kind: "call";
      readonly id: number;
      readonly method: string;
      readonly timeoutMs: number;
      readonly request: unknown;
    }
  | { readonly kind: "cancel"; readonly id: number };

export type AnswerFrame =
  | { readonly kind: "reply"; readonly id: number; readonly reply: unknown }
  | { readonly kind: "fail"; readonly id: number; readonly error: WireError };

export type Frame = CallerFrame | AnswerFrame;

// moreTypes: a Float32Array arrives as one, in a buffer of its own, which its alignment needs. Bytes arrive as views.
const packr = new Packr({ useRecords: false, moreTypes: true, mapsAsObjects: true });

/** The frame as the messages to write, in order; null: longer than {@link FRAME_BYTES_MAX}. */
export function encodeFrame(frame: Frame): readonly Buffer[] | null {
  const packed = packr.pack(flat(frame));
  if (packed.byteLength <= PIECE_BYTES) return [packed];
  if (packed.byteLength > FRAME_BYTES_MAX) return null;
  const messages = [packr.pack([BULK, packed.byteLength])];
  for (let at = 0; at < packed.byteLength; at += PIECE_BYTES) {
    messages.push(packed.subarray(at, at + PIECE_BYTES));
  }
  return messages;
}

function flat(frame: Frame): readonly unknown[] {
  switch (frame.kind) {
    case "call":
      return [CALL, frame.id, frame.method, frame.timeoutMs, frame.request];
    case "cancel":
      return [CANCEL, frame.id];
    case "reply":
      return [REPLY, frame.id, frame.reply];
    case "fail": {
      const { code, message, details } = frame.error;
      return [FAIL, frame.id, code, message, details];
    }
  }
}

/** Puts the messages of one stream together to frames. */
export class FrameReader {
  #pieces: Buffer[] | null = null;
  #missing = 0;

  /** null: more of the frame is to come. Throws {@link BadFrame}. */
  read(message: Buffer): Frame | null {
    if (this.#pieces !== null) {
      this.#pieces.push(message);
      this.#missing -= message.byteLength;
      if (message.byteLength === 0 || this.#missing < 0) throw new BadFrame("a piece does not fit its frame");
      if (this.#missing > 0) return null;
      const whole = Buffer.concat(this.#pieces);
      this.#pieces = null;
      return frameOf(unpacked(whole));
    }
    const fields = unpacked(message);
    if (fields[0] !== BULK) return frameOf(fields);
    const bytes = fields[1];
    if (typeof bytes !== "number" || !(bytes > 0) || bytes > FRAME_BYTES_MAX) {
      throw new BadFrame(`a frame has 1 to ${FRAME_BYTES_MAX} bytes, not ${String(bytes)}`);
    }
    this.#pieces = [];
    this.#missing = bytes;
    return null;
  }
}

function unpacked(bytes: Buffer): readonly unknown[] {
  let read: unknown;
  try {
    read = packr.unpack(bytes);
  } catch (cause) {
    throw new BadFrame("a frame cannot be unpacked", { cause });
  }
  if (Array.isArray(read)) return read as readonly unknown[];
  throw new BadFrame("a frame is an array");
}

function frameOf(fields: readonly unknown[]): Frame {
  const [kind, id] = fields;
  if (!Number.isSafeInteger(id) || (id as number) < 1) throw new BadFrame("a call has a number from 1 on");
  const call = id as number;
  switch (kind) {
    case CALL: {
      const [, , method, timeoutMs, request] = fields;
      if (typeof method !== "string" || typeof timeoutMs !== "number" || !(timeoutMs >= 0)) {
        throw new BadFrame("a call names its method and how many milliseconds it may take");
      }
      return { kind: "call", id: call, method, timeoutMs, request };
    }
    case CANCEL:
      return { kind: "cancel", id: call };
    case REPLY:
      return { kind: "reply", id: call, reply: fields[2] };
    case FAIL: {
      const [, , code, message, details = null] = fields;
      if (typeof code !== "string" || typeof message !== "string" || typeof details !== "object") {
        throw new BadFrame("a failure has a code, a message and details");
      }
      return { kind: "fail", id: call, error: { code, message, details } };
    }
    default:
      throw new BadFrame(`frames of kind ${String(kind)} are not known`);
  }
}
