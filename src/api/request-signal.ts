import { setMaxListeners } from "node:events";

/**
 * For a signal that all shards of a request listen to side by side, of which there may be a thousand: from the eleventh
 * on Node would write a warning about a leak to stderr, for every request.
 */
export function ofManyShards(signal: AbortSignal): AbortSignal {
  setMaxListeners(0, signal);
  return signal;
}

/** For one request. */
export function requestController(): AbortController {
  const controller = new AbortController();
  ofManyShards(controller.signal);
  return controller;
}
