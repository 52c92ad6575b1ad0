/** What this node does when another one asks: the thing itself, with its own consensus thread and engines, or no. */
import type { GroupStatus } from "../../shards/index.ts";
import { ApiError } from "../api/errors.ts";
import { SHARDS_BOUND } from "../catalog/shapes.ts";
import type { CallerCheck } from "./caller-check.ts";
import type { LocalReplica } from "./local-replica.ts";
import type {
  FreshRead,
  GroupReport,
  NodeCallContext,
  NodeCallHandlers,
  ReadAnswer,
  TransferOutcome,
} from "./node-calls/contract.ts";
import { asApiError, type Place } from "./outcomes.ts";
import type { Consensus, Engines, LocalShards } from "./ports.ts";
import type { Roles } from "./roles.ts";
import type { Timers } from "./timers.ts";
import type { EngineStats, NodeStatus } from "./types.ts";

export interface NodeHandlersParts {
  readonly nodeId: number;
  readonly consensus: Consensus;
  readonly engines: Engines;
  readonly shards: LocalShards & { readonly places: () => readonly { readonly group: number }[] };
  readonly roles: Roles;
  readonly local: LocalReplica;
  readonly callers: CallerCheck;
  readonly timers: Timers;
  readonly node: () => NodeStatus;
  readonly restart: (group: number, signal: AbortSignal) => Promise<void>;
}

/** Bounds waiting for freshness; the caller's own deadline, which the signal carries, usually ends it before. */
const LONGEST_MS = 600_000;

export function nodeHandlers(parts: NodeHandlersParts): NodeCallHandlers {
  const { consensus, engines, local, callers } = parts;
  const fresh = <T>(
    { group, level, atLeast }: FreshRead,
    { signal }: NodeCallContext,
    ask: () => Promise<T>,
  ): Promise<ReadAnswer<T>> =>
    local.answer(placeOf(group), { level, atLeast }, { timeoutMs: LONGEST_MS, signal }, ask);
  const read = async <T>(
    asked: FreshRead,
    context: NodeCallContext,
    ask: () => Promise<T>,
  ): Promise<ReadAnswer<T>> => {
    if (callers.read(asked.group, asked.caller, context.from) === null) throw unknownGroup(asked.group);
    return await fresh(asked, context, ask);
  };
  return {
    // The bytes are a view into what the network brought; proposing gives a buffer of its own away.
    propose: async (asked, { signal, from }) => {
      const { group, data, wait, timeoutMs } = asked;
      const admitted = callers.propose(asked, from);
      if (admitted === null) return { kind: "stopped", why: unknownGroup(group).message };
      const { stopped } = parts.roles.of(group);
      // Its log may run still; what it would say of the entry is not to be relied on.
      if (stopped !== null) return { kind: "stopped", why: stopped.why };
      try {
        const outcome = await consensus.propose(group, new Uint8Array(data), { wait, timeoutMs, signal });
        admitted.settled(outcome);
        return outcome;
      } catch (error) {
        // A thread that ended may have taken the entry: that travels as it is, or the other node would hear of nothing
        // that could have happened.
        const gone = error instanceof Error && "code" in error && error.code === "THREAD_GONE";
        const known = gone ? error : asApiError(error);
        admitted.failed(known);
        throw known;
      }
    },
    search: (asked, context) =>
      read(asked, context, () => engines.search(asked.group, asked.queries, context.signal)),
    retrieve: (asked, context) =>
      read(asked, context, () => engines.retrieve(asked.group, asked.ids, asked, context.signal)),
    scroll: (asked, context) =>
      read(asked, context, () => engines.scroll(asked.group, asked, context.signal)),
    // A node asks for itself whether all shards answer, which its readiness needs and tells nobody how many there are.
    count: (asked, context) =>
      (asked.caller === null ? fresh : read)(asked, context, () =>
        engines.count(asked.group, context.signal),
      ),
    readIndex: ({ group, timeoutMs }, { signal }) =>
      mapped(consensus.readIndex(group, { timeoutMs, signal })),
    groups: (_, { signal }) => groupReports(parts, signal),
    changeMembership: async ({ group, steps, timeoutMs, caller }, { signal }) => {
      callers.manage(caller);
      return await mapped(consensus.changeMembership(group, steps, { timeoutMs, signal }));
    },
    transfer: async ({ group, to, timeoutMs, caller }, { signal }) => {
      callers.manage(caller);
      return await handOver(parts, { group, to, timeoutMs, signal });
    },
    restart: async ({ group, caller }, { signal, from }) => {
      callers.operator(caller, from);
      await parts.restart(group, signal);
      return { kind: "done" };
    },
    withdraw: ({ group, why }) => {
      // One that is closed by now is not the one that was looked at.
      if (parts.shards.isOpen(group))
        parts.roles.changed(group, { stopped: { why, code: "REPLICA_DIVERGED" } });
      return Promise.resolve({ kind: "done" });
    },
    node: () => Promise.resolve(parts.node()),
  };
}

/** Every group that is, or should be, open on this node; or those of `only`. */
export async function groupReports(
  {
    nodeId,
    consensus,
    engines,
    shards,
    roles,
  }: Omit<NodeHandlersParts, "local" | "timers" | "node" | "restart" | "callers">,
  signal: AbortSignal,
  only?: readonly number[],
): Promise<{ readonly node: number; readonly groups: readonly GroupReport[] }> {
  const asked: Promise<readonly (GroupStatus | null)[]> =
    only === undefined
      ? consensus.statuses()
      : Promise.all(only.map(async (group) => await consensus.status(group)));
  const told = (await mapped(asked)).filter((status) => status !== null);
  const statuses = new Map(told.map((status): [number, GroupStatus] => [status.group, status]));
  const numbers = new Set(only ?? [...statuses.keys(), ...shards.places().map(({ group }) => group)]);
  const groups = await Promise.all(
    [...numbers]
      .sort((a, b) => a - b)
      .map(async (group): Promise<GroupReport> => {
        const status = statuses.get(group) ?? null;
        const engine = shards.isOpen(group) ? await statsOf(engines, group, signal) : null;
        const trouble = engine instanceof Error ? engine.message : engine?.failure;
        const stopped = roles.of(group).stopped?.why;
        const error = trouble ?? status?.failure ?? stopped ?? shards.error(group)?.message ?? null;
        return { group, status, engine: engine instanceof Error ? null : engine, error };
      }),
  );
  return { node: nodeId, groups };
}

/** An engine that cannot say how it is does not keep the other groups from saying it. */
async function statsOf(engines: Engines, group: number, signal: AbortSignal): Promise<EngineStats | Error> {
  try {
    return await engines.stats(group, signal);
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

/** Resolves when the other one leads, as this node hears it, or when it did not come to that. */
export async function handOver(
  { nodeId, consensus, roles, timers }: Pick<NodeHandlersParts, "nodeId" | "consensus" | "roles" | "timers">,
  { group, to, timeoutMs, signal }: TransferRequest,
): Promise<TransferOutcome> {
  if (!roles.isElected(group)) return { kind: "refused", why: `node ${nodeId} does not lead it` };
  // One that was taken out of service can hand over still, and is to.
  const { stopped: before } = roles.of(group);
  const late = new AbortController();
  const stopTimer = timers.after(timeoutMs, () =>
    late.abort(new Error(`node ${to} did not take over in time`)),
  );
  let stopWatching: () => void = () => undefined;
  const over = new Promise<TransferOutcome>((resolve) => {
    const settle = (): void => {
      const { leader, stopped } = roles.of(group);
      if (leader === to) resolve({ kind: "done" });
      else if (stopped !== null && stopped !== before) resolve({ kind: "refused", why: stopped.why });
      else if (leader !== null && leader !== nodeId)
        resolve({ kind: "refused", why: `node ${leader} leads instead` });
    };
    const giveUp = (end: AbortSignal): void =>
      resolve({ kind: "refused", why: end.reason instanceof Error ? end.reason.message : "given up" });
    stopWatching = roles.watch(group, settle);
    for (const end of [late.signal, signal]) {
      if (end.aborted) giveUp(end);
      else end.addEventListener("abort", () => giveUp(end), { once: true });
    }
  });
  try {
    const refusal = await mapped(consensus.transfer(group, to));
    return refusal === null ? await over : { kind: "refused", why: refusal };
  } finally {
    stopTimer();
    stopWatching();
  }
}

export interface TransferRequest {
  readonly group: number;
  readonly to: number;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

function placeOf(group: number): Place {
  return { group, shard: group % SHARDS_BOUND };
}

function unknownGroup(group: number): ApiError {
  return new ApiError("NOT_READY", `this node's catalogue has no group ${group}, or not yet`);
}

async function mapped<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asApiError(error);
  }
}
