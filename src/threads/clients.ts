/** The front's view of the other threads, as routing wants it. */
import { GroupId, LogIndex } from "../../shards/index.ts";
import type { Consensus, Engines } from "../cluster/ports.ts";
import type { SearchQuery } from "../engine/types.ts";
import type { Threads } from "./start.ts";

export function consensusClient(threads: Threads): Consensus {
  const { consensus } = threads;
  return {
    propose: (group, data, { wait, timeoutMs, signal }) =>
      consensus.call(
        "propose",
        { group: GroupId(group), data, wait, timeoutMs },
        { signal, awaitsAnswer: true, transfer: [data.buffer] },
      ),
    readIndex: (group, { timeoutMs, signal }) =>
      consensus.call("readIndex", { group: GroupId(group), timeoutMs }, { signal }),
    waitApplied: (group, index, { timeoutMs, signal }) =>
      consensus.call("waitApplied", { group: GroupId(group), index: LogIndex(index), timeoutMs }, { signal }),
    status: (group) => consensus.call("status", { group: GroupId(group) }),
    statuses: () => consensus.call("statuses", null),
    changeMembership: (group, steps, { timeoutMs, signal }) =>
      consensus.call(
        "changeMembership",
        { group: GroupId(group), steps, timeoutMs },
        { signal, awaitsAnswer: true },
      ),
    transfer: (group, to) => consensus.call("transfer", { group: GroupId(group), to }),
  };
}

export function engineClient(threads: Threads): Engines {
  return {
    search: (group, queries, signal) =>
      threads.engineOf(group).call("search", { group, queries: queries.map(alone) }, { signal }),
    retrieve: (group, ids, { withPayload, withVector }, signal) =>
      threads.engineOf(group).call("retrieve", { group, ids, withPayload, withVector }, { signal }),
    scroll: (group, { from, limit, withPayload, withVector }, signal) =>
      threads.engineOf(group).call("scroll", { group, from, limit, withPayload, withVector }, { signal }),
    count: (group, signal) => threads.engineOf(group).call("count", { group }, { signal }),
    stats: (group, signal) => threads.engineOf(group).call("stats", { group }, { signal }),
  };
}

/** Cloning a view sends all of the buffer it is cut from: a vector out of a large one gets a buffer of its own. */
function alone(query: SearchQuery): SearchQuery {
  const { vector } = query;
  return vector.byteLength === vector.buffer.byteLength ? query : { ...query, vector: vector.slice() };
}
