/** The node itself: health, readiness, state, metrics. */
import { result, STATUS, TITLE } from "./answers.ts";
import { PLAIN_QUERY, READY_QUERY } from "./call-options.ts";
import type { LocalShard } from "../api/vector-service.ts";
import { onCluster, route, type Answer, type Route } from "./route.ts";

const PLAIN_TEXT = "text/plain; charset=utf-8";
const PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8";

const PLAIN = { kind: "text", type: PLAIN_TEXT } as const;

const text = (body: string, status = 200): Answer => ({ text: `${body}\n`, type: PLAIN_TEXT, status });

/** A shard's replica on this node. */
const groupView = ({ collection, status }: LocalShard) => ({
  collection,
  shard: status.shard,
  group: status.group,
  role: status.role,
  leader: status.leader,
  term: status.term,
  commit: status.commit,
  applied: status.applied,
  first_index: status.firstIndex,
  log_bytes: status.logBytes,
  points: status.engine?.points ?? null,
  error: status.error ?? status.engine?.failure ?? null,
});

export const systemRoutes = (parts: { metricsText(): Promise<string> }): readonly Route[] => [
  route({
    method: "GET",
    url: "/",
    rule: onCluster("probe"),
    summary: "Name and version",
    query: PLAIN_QUERY,
    answer: { kind: "bare", json: TITLE },
    body: null,
    handle: ({ service, permit }) => ({
      bare: { title: "flotilla - vector search on replicated shards", version: service.version(permit) },
    }),
  }),
  route({
    method: "GET",
    url: "/healthz",
    rule: onCluster("probe"),
    summary: "Whether the process answers",
    query: PLAIN_QUERY,
    answer: PLAIN,
    body: null,
    handle: () => text("healthz check passed"),
  }),
  route({
    method: "GET",
    url: "/livez",
    rule: onCluster("probe"),
    summary: "Whether the process answers",
    query: PLAIN_QUERY,
    answer: PLAIN,
    body: null,
    handle: () => text("livez check passed"),
  }),
  route({
    method: "GET",
    url: "/readyz",
    rule: onCluster("probe"),
    summary: "Whether requests can be served; with `sync`, once everything committed before is applied here",
    query: READY_QUERY,
    answer: { ...PLAIN, alsoAt: 503 },
    body: null,
    async handle({ service, permit, query, signal }) {
      const { ready, notes } = service.readiness(permit);
      const lines = notes.length === 0 ? "" : `\n${notes.join("\n")}`;
      if (!ready) return text(`some shards are not ready${lines}`, 503);
      if (query.sync === true) await service.caughtUp(permit, { signal });
      return text(`all shards are ready${lines}`);
    },
  }),
  route({
    method: "GET",
    url: "/metrics",
    rule: onCluster("read"),
    summary: "Metrics in the Prometheus format",
    query: PLAIN_QUERY,
    answer: { kind: "text", type: PROMETHEUS },
    body: null,
    handle: async () => ({ text: await parts.metricsText(), type: PROMETHEUS }),
  }),
  route({
    method: "GET",
    url: "/status",
    rule: onCluster("read"),
    summary: "This node: who it is, how it was built, what it is busy with, its replicas",
    query: PLAIN_QUERY,
    answer: result(STATUS),
    body: null,
    async handle({ service, permit, signal }) {
      const node = service.node(permit);
      return {
        result: {
          node_id: node.nodeId,
          cluster_id: node.clusterId,
          version: node.version,
          started_at: node.startedAt,
          ready: node.ready,
          notes: node.notes,
          catalogue: node.catalogue,
          groups: (await service.localShards(permit, { signal })).map(groupView),
          build: node.build,
        },
      };
    },
  }),
];
