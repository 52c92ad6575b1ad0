/** The ways to whoever answers reads, with those that wait there counted. */
import type { NodeMethod, RequestOf } from "./node-calls/contract.ts";
import type { Engines, Peers } from "./ports.ts";
import type { ReadQueues } from "./read-queues.ts";

/** `threadOf`: the engine thread that holds a group. */
export function countedEngines(
  engines: Engines,
  queues: ReadQueues,
  threadOf: (group: number) => number,
): Engines {
  const counted = <T>(group: number, call: () => Promise<T>): Promise<T> =>
    queues.here(group, threadOf(group), call);
  return {
    search: (group, queries, signal) => counted(group, () => engines.search(group, queries, signal)),
    retrieve: (group, ids, shape, signal) =>
      counted(group, () => engines.retrieve(group, ids, shape, signal)),
    scroll: (group, page, signal) => counted(group, () => engines.scroll(group, page, signal)),
    count: (group, signal) => counted(group, () => engines.count(group, signal)),
    stats: (group, signal) => engines.stats(group, signal),
  };
}

export function countedPeers(peers: Peers, queues: ReadQueues): Peers {
  return {
    stateOf: (node) => peers.stateOf(node),
    call: (node, method, request, options) => {
      const group = readOf(method, request);
      const call = () => peers.call(node, method, request, options);
      return group === null ? call() : queues.there(group, node, call);
    },
  };
}

/** The group that a call reads points of; null: it does something else. */
function readOf(method: NodeMethod, request: RequestOf<NodeMethod>): number | null {
  switch (method) {
    case "search":
    case "retrieve":
    case "scroll":
    case "count":
      return "group" in request ? request.group : null;
    default:
      return null;
  }
}
