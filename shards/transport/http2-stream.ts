/** The library shows a served call, not the HTTP/2 stream under it; two things can be done to a stream only. */
import type { Http2Stream } from "node:http2";

/** undefined: the library has changed. */
export function streamOf(call: object): Http2Stream | undefined {
  // Each interceptor of the server wraps the call once more.
  for (
    let inner: unknown = Reflect.get(call, "call");
    isObject(inner);
    inner = Reflect.get(inner, "nextCall")
  ) {
    const stream: unknown = Reflect.get(inner, "stream");
    if (isStream(stream)) return stream;
  }
  return undefined;
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null;

function isStream(value: unknown): value is Http2Stream {
  return isObject(value) && "session" in value && "sentHeaders" in value;
}
