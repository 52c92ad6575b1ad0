/** What the front answers to the other threads: the catalogue's state machine, and what they report. */
import type { Catalogue } from "../catalog/catalogue.ts";
import type { Roles } from "../cluster/roles.ts";
import type { Log } from "../observability/log.ts";
import type { NodeMetrics } from "../observability/node-metrics.ts";
import { applyHandlers } from "./apply-remote.ts";
import type { ConsensusReports, ReportContract } from "./contracts.ts";
import type { Handlers } from "./rpc.ts";
import type { ConsensusRpc } from "./start.ts";

export interface FrontParts {
  readonly catalogue: Catalogue;
  readonly roles: Roles;
  readonly metrics: NodeMetrics;
  readonly log: Log;
  /** What shards are busy with, by group. */
  readonly busy: Map<number, string>;
  readonly consensus: () => ConsensusRpc;
  /** Answers what another node asks over the peer port. */
  readonly peerCall: (name: string, body: Uint8Array) => Promise<Uint8Array>;
  /** Whether the disk of the data directory is full for everything on it, not for one shard alone. */
  readonly isDiskFull: () => boolean;
  /** The node cannot go on: its log failed, or its catalogue. */
  readonly fatal: (why: string) => void;
}

export function reportHandlers({
  metrics,
  log,
  busy,
}: Pick<FrontParts, "metrics" | "log" | "busy">): Handlers<ReportContract> {
  return {
    report: (report) => metrics.thread(report),
    log: ({ level, message, fields }) => log[level](fields, message),
    shard: ({ group, busy: what }) => {
      if (what === null) busy.delete(group);
      else busy.set(group, what);
    },
  };
}

export function consensusHandlers(parts: FrontParts): Handlers<ConsensusReports> {
  const { catalogue, roles, metrics, fatal } = parts;
  const ofCatalogue = (group: number): Catalogue => {
    if (group === 0) return catalogue;
    throw new RangeError(`group ${group} has no state machine on the front`);
  };
  return {
    ...reportHandlers(parts),
    ...applyHandlers(ofCatalogue, () => parts.consensus()),
    peer: ({ node, state }) => parts.log.debug({ node, state }, "peer"),
    peerCall: ({ name, body }) => parts.peerCall(name, body),
    samples: (samples) => metrics.consensus(samples),
    group: (change) => {
      switch (change.kind) {
        case "role":
          roles.changed(change.group, { role: change.role, term: change.term });
          return;
        case "leader":
          roles.changed(change.group, { leader: change.leader, term: change.term });
          return;
        case "stopped": {
          const { group, why, code } = change;
          roles.changed(group, { stopped: { why, code } });
          // One shard may fail by itself, also for want of space of its own. Without the log or the catalogue nothing
          // can be promised any more, and on a full disk the next write of any shard fails as well.
          if (code?.startsWith("LOG_") === true) fatal(`the log failed: ${why}`);
          else if (code === "STORE_FULL" && parts.isDiskFull()) fatal(`the disk is full: ${why}`);
          else if (group === 0) fatal(`the catalogue failed: ${why}`);
          return;
        }
      }
    },
  };
}
