/**
 * HTTP/2 lets a sender have 64 KiB unacknowledged by default, which a stream of pieces fills four times a piece: every
 * time both sides wait for each other. The library's clients have an option for it, its servers have none, so a served
 * stream is looked up inside of the call. Where that fails, transfers are slower, nothing else.
 */
import type { Http2Stream } from "node:http2";

/** Bytes under way on one stream and one connection: what a window of pieces needs. */
export const FLOW_WINDOW_BYTES = 4 * 1024 * 1024;

/** True when the window is wider now. */
export function widenWindow(call: object): boolean {
  const stream = streamOf(call);
  const session = stream?.session;
  if (session === undefined || session.destroyed) return false;
  if (session.localSettings.initialWindowSize === FLOW_WINDOW_BYTES) return true;
  session.settings({ initialWindowSize: FLOW_WINDOW_BYTES });
  session.setLocalWindowSize(FLOW_WINDOW_BYTES);
  return true;
}

function streamOf(call: object): Http2Stream | undefined {
  const inner: unknown = Reflect.get(call, "call");
  if (typeof inner !== "object" || inner === null) return undefined;
  const stream: unknown = Reflect.get(inner, "stream");
  return isStream(stream) ? stream : undefined;
}

function isStream(value: unknown): value is Http2Stream {
  return typeof value === "object" && value !== null && "session" in value && "sentHeaders" in value;
}
