/** What bounds a connection and a request in time; rows for the configuration as in `src/api/limits.ts`. */

interface OptionRow {
  /** Name in configuration, below `http.` */
  readonly option: string;
  readonly unit: string;
  readonly fallback: number;
  readonly min: number;
  readonly max: number;
  readonly reason: string;
}

const row = (
  option: string,
  unit: string,
  fallback: number,
  min: number,
  max: number,
  reason: string,
): OptionRow => ({ option, unit, fallback, min, max, reason });

export const HTTP_OPTIONS = {
  deadlineMs: row(
    "deadline_ms",
    "ms",
    60_000,
    10,
    3_600_000,
    "Time for one request once its body is there, unless it brings `timeout`.",
  ),
  deadlineMaxMs: row(
    "deadline_max_ms",
    "ms",
    600_000,
    10,
    3_600_000,
    "The longest `timeout` a request may ask for.",
  ),
  receiveTimeoutMs: row(
    "receive_timeout_ms",
    "ms",
    60_000,
    100,
    3_600_000,
    "A request must have arrived as a whole by then: slow senders hold memory.",
  ),
  headersTimeoutMs: row(
    "headers_timeout_ms",
    "ms",
    15_000,
    100,
    600_000,
    "Request line and headers must be there.",
  ),
  sendTimeoutMs: row(
    "send_timeout_ms",
    "ms",
    30_000,
    100,
    3_600_000,
    "A client that reads nothing of its answer for so long is cut off.",
  ),
  keepAliveTimeoutMs: row(
    "keep_alive_timeout_ms",
    "ms",
    75_000,
    0,
    3_600_000,
    "An idle connection stays open: longer than the 60 s after which common load balancers close theirs.",
  ),
  requestsPerConnection: row(
    "requests_per_connection",
    "requests",
    0,
    0,
    1_000_000_000,
    "Then the connection is closed, so that balancers can spread clients anew; 0: never.",
  ),
  connections: row("connections", "connections", 4_096, 1, 1_000_000, "Open at once; more are refused."),
  inflightMax: row(
    "inflight_max",
    "requests",
    2_048,
    1,
    1_000_000,
    "About points, in work at once, and as many of all others; more are answered 503 at once, before they take memory and make everybody wait.",
  ),
  shedDelayMs: row(
    "shed_delay_ms",
    "ms",
    250,
    10,
    60_000,
    "While turns of the front thread keep coming so late, new requests about points are answered 503.",
  ),
  readQueueMax: row(
    "read_queue_max",
    "reads",
    128,
    1,
    1_000_000,
    "Waiting for one engine thread, or for one shard elsewhere, at which it is overloaded: more than clients come to that wait for their answers.",
  ),
  readQueueOverloaded: row(
    "read_queue_overloaded",
    "reads",
    16,
    1,
    1_000_000,
    "Waiting there from which on, while it is overloaded, reads are answered 503: as many as keep it busy, so that those let in wait as briefly as ever.",
  ),
  headerBytes: row("header_bytes", "bytes", 16_384, 4_096, 1_048_576, "Request line and headers together."),
} as const satisfies Record<string, OptionRow>;

export type HttpOptionName = keyof typeof HTTP_OPTIONS;
export type HttpOptions = { readonly [K in HttpOptionName]: number };

/** Every option at its default, with some replaced. */
export function httpOptions(chosen: Partial<HttpOptions> = {}): HttpOptions {
  const names = Object.keys(HTTP_OPTIONS) as HttpOptionName[];
  const values = names.map((name) => [name, chosen[name] ?? HTTP_OPTIONS[name].fallback] as const);
  return Object.fromEntries(values) as HttpOptions;
}
