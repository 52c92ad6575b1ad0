/**
 * The library gathers a whole message before anybody sees it, as large as the largest that peers may send, and
 * unpacks it where the sender says that it is packed: too much to do for a stranger. So what the first frames of a
 * stream announce is read from the stream itself, before their bytes are there.
 */
import { constants } from "node:http2";
import { streamOf } from "./http2-stream.ts";

/** Of every message: whether it is packed (1 byte) and its length (4), as gRPC has it over HTTP/2. */
const PREFIX_BYTES = 5;

export interface FirstFramesOptions {
  /** How many frames of a stream are looked at. */
  readonly frames: number;
  /** Most that one of them may have. */
  readonly bytesMax: number;
  /** Told once, when the stream has been reset. */
  readonly exceeded: (why: string) => void;
}

/** Of a call that was just served. False: its stream cannot be watched, and it should not be served. */
export function limitFirstFrames(call: object, options: FirstFramesOptions): boolean {
  const stream = streamOf(call);
  if (stream === undefined) return false;
  const { bytesMax, exceeded } = options;
  const prefix = Buffer.alloc(PREFIX_BYTES);
  let frames = options.frames;
  let read = 0;
  let left = 0;
  const stop = (): void => void stream.off("data", look);
  const wrong = (): string | null => {
    if (prefix.readUInt8(0) !== 0) return "a first frame that is compressed, which no node sends";
    return left > bytesMax ? `a first frame of ${left} bytes, not at most ${bytesMax}` : null;
  };
  const look = (data: Buffer): void => {
    for (let at = 0; at < data.length && frames > 0;) {
      const step = Math.min(data.length - at, read < PREFIX_BYTES ? PREFIX_BYTES - read : left);
      if (read < PREFIX_BYTES) {
        data.copy(prefix, read, at, at + step);
        read += step;
        if (read < PREFIX_BYTES) return;
        left = prefix.readUInt32BE(1);
        const why = wrong();
        if (why !== null) {
          stop();
          // Nothing that is on its way is taken, and nobody waits for an orderly end.
          stream.close(constants.NGHTTP2_ENHANCE_YOUR_CALM);
          exceeded(why);
          return;
        }
      } else left -= step;
      at += step;
      if (left > 0) continue;
      frames--;
      read = 0;
    }
    if (frames === 0) stop();
  };
  stream.on("data", look);
  return true;
}
