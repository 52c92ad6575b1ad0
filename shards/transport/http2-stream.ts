/** The library shows a served call, not the HTTP/2 stream under it; two things can be done to a stream only. */
import type { Http2Stream } from "node:http2";

/** undefined: the library has changed. */
export function streamOf(call: object): Http2Stream | undefined {
  const inner: unknown = Reflect.get(call, "call");
  if (typeof inner !== "object" || inner === null) return undefined;
  const stream: unknown = Reflect.get(inner, "stream");
  return isStream(stream) ? stream : undefined;
}

function isStream(value: unknown): value is Http2Stream {
  return typeof value === "object" && value !== null && "session" in value && "sentHeaders" in value;
}
