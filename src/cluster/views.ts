/** From what every node says of its groups to what an operator reads. Pure: `null` stands for a node that said nothing. */
import type { GroupStatus } from "../../shards/index.ts";
import type { CatalogueCollection, CatalogueNode, Placement } from "../catalog/types.ts";
import { DIVERGED, hashesOf } from "./group-views.ts";
import type { GroupReport } from "./node-calls/contract.ts";
import type { NodeView, ReplicaView, ShardStatus, ShardView } from "./types.ts";

/** By node, then by group; null: it did not answer. */
export type Reports = ReadonlyMap<number, ReadonlyMap<number, GroupReport> | null>;

/** Entries a voter may be behind without being called late: some round trips of a busy shard. */
const LAG_MAX = 1_000;

export function shardView(placement: Placement, reports: Reports): ShardView {
  const { shard, group } = placement;
  const lead = leaderStatus(group, reports);
  const conf = lastConf(group, reports);
  const members = conf === null ? [] : [...conf.voters, ...conf.votersOutgoing, ...conf.learners];
  const nodes = new Set([...placement.replicas.map(({ node }) => node), ...members]);
  const hashes = comparableHashes(group, [...nodes], reports);
  const replicas = [...nodes]
    .sort((a, b) => a - b)
    .map((node): ReplicaView => {
      const groups = reports.get(node) ?? null;
      const isAway = groups === null;
      const seen = { lead, conf, isAway };
      const view = replicaView(node, groups?.get(group) ?? null, seen, hashes.get(node) ?? null);
      return isAway ? { ...view, state: "unreachable" } : view;
    });
  const terms = replicas.map(({ term }) => term ?? 0);
  return { shard, group, term: Math.max(0, ...terms), leader: lead?.node ?? null, replicas };
}

interface HashAt {
  readonly index: number;
  readonly stateHash: string;
}

interface Seen {
  readonly lead: GroupStatus | null;
  readonly conf: GroupStatus["conf"] | null;
  readonly isAway: boolean;
}

function replicaView(
  nodeId: number,
  report: GroupReport | null,
  { lead, conf, isAway }: Seen,
  hash: HashAt | null,
): ReplicaView {
  const status = report?.status ?? null;
  const peer = lead?.peers.find(({ node }) => node === nodeId) ?? null;
  const match = lead === null ? null : nodeId === lead.node ? lead.lastIndex : (peer?.match ?? null);
  const lag = lead === null || status === null ? null : Math.max(0, lead.commit - status.applied);
  // When nobody who knows can be asked, whoever may not even have begun does not vote; who is away most likely does.
  const votes = conf === null ? isAway : conf.voters.some((voter) => voter === nodeId);
  const role = lead?.node === nodeId ? "leader" : votes ? "voter" : "learner";
  return {
    nodeId,
    role,
    state: stateOf(report, role, lag, peer?.state === "snapshot"),
    term: status?.term ?? null,
    commit: status?.commit ?? null,
    applied: status?.applied ?? null,
    match,
    lag,
    stateHash: hash?.stateHash ?? null,
    hashIndex: hash?.index ?? null,
    points: report?.engine?.points ?? null,
    error: report?.error ?? null,
  };
}

function stateOf(
  report: GroupReport | null,
  role: ReplicaView["role"],
  lag: number | null,
  getsSnapshot: boolean,
): ReplicaView["state"] {
  // It was placed there, and the node has not begun with it yet.
  if (report === null) return "catching_up";
  const { status, engine } = report;
  const isDiverged = report.error?.startsWith(DIVERGED) === true;
  const failed = status?.state === "stopped" || (engine !== null && engine.failure !== null) || isDiverged;
  if (failed || (status === null && report.error !== null)) return "failed";
  if (getsSnapshot) return "snapshot";
  if (status === null || role === "learner" || (lag !== null && lag > LAG_MAX)) return "catching_up";
  return "active";
}

/** The one of the highest term among those that say that they lead. */
export function leaderStatus(group: number, reports: Reports): GroupStatus | null {
  let found: GroupStatus | null = null;
  for (const groups of reports.values()) {
    const status = groups?.get(group)?.status ?? null;
    if (status?.role !== "leader" || status.state === "stopped") continue;
    if (found === null || status.term > found.term) found = status;
  }
  return found;
}

/** The membership as the leader has it; without one, as whoever has applied most: who is dead may still be a voter. */
function lastConf(group: number, reports: Reports): GroupStatus["conf"] | null {
  const lead = leaderStatus(group, reports);
  if (lead !== null) return lead.conf;
  let last: GroupStatus | null = null;
  for (const groups of reports.values()) {
    const status = groups?.get(group)?.status ?? null;
    if (status !== null && (last === null || status.applied > last.applied)) last = status;
  }
  return last?.conf ?? null;
}

/** Per node the hash at the last index at which all who answered know theirs, so that they can be compared; else its own. */
function comparableHashes(
  group: number,
  nodes: readonly number[],
  reports: Reports,
): ReadonlyMap<number, HashAt> {
  const engines = nodes.flatMap((node) => {
    const engine = reports.get(node)?.get(group)?.engine;
    return engine === null || engine === undefined ? [] : [{ node, engine, hashes: hashesOf(engine) }];
  });
  const [first] = engines;
  const common = [...(first?.hashes.keys() ?? [])].filter((index) =>
    engines.every(({ hashes }) => hashes.has(index)),
  );
  const last = Math.max(...common);
  return new Map(
    engines.map(({ node, engine, hashes }) => {
      const index = common.length > 0 ? last : engine.appliedIndex;
      return [node, { index, stateHash: hashes.get(index) ?? engine.stateHash }];
    }),
  );
}

/** A shard as this node has it; `report` is null when it holds no replica. */
export function ownShard(
  place: Pick<ShardStatus, "shard" | "group" | "node" | "leader">,
  report: GroupReport | null,
): ShardStatus {
  const status = report?.status ?? null;
  const role = status?.role ?? "follower";
  return {
    ...place,
    role: status?.learner === true ? "learner" : role === "preCandidate" ? "candidate" : role,
    leader: status?.leader ?? place.leader,
    term: status?.term ?? 0,
    commit: status?.commit ?? 0,
    applied: status?.applied ?? 0,
    firstIndex: status?.firstIndex ?? 0,
    logBytes: status?.logBytes ?? 0,
    engine: report?.engine ?? null,
    error: report?.error ?? null,
  };
}

/** A shard that this node does not hold, as one that does has it: its leader, else whoever answered; null: nobody. */
export function elsewhere(place: ShardStatus, reports: Reports): ShardStatus | null {
  const held = [...reports].flatMap(([node, groups]) => {
    const report = groups?.get(place.group);
    return report === undefined || report.engine === null ? [] : [ownShard({ ...place, node }, report)];
  });
  return held.find(({ role }) => role === "leader") ?? held[0] ?? null;
}

export function nodeViews(
  nodes: readonly CatalogueNode[],
  collections: readonly CatalogueCollection[],
  reports: Reports,
): readonly NodeView[] {
  const voters = lastConf(0, reports)?.voters ?? [];
  return nodes.map(({ nodeId, http, grpc, peer, version, state }) => {
    const groups = reports.get(nodeId) ?? null;
    const votes = voters.some((voter) => voter === nodeId);
    const led = [...(groups?.values() ?? [])].filter(
      ({ group, status }) => group !== 0 && status?.role === "leader" && status.state === "running",
    );
    const replicas = collections
      .flatMap(({ placement }) => placement)
      .filter((shard) => shard.replicas.some(({ node }) => node === nodeId)).length;
    return {
      nodeId,
      http,
      grpc,
      peer,
      role: votes ? "voter" : "learner",
      alive: groups !== null,
      leaderOf: led.length,
      replicas,
      version,
      state,
    };
  });
}
