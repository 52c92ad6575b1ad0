/** What a core is told once, and the bounds of each setting. */
import { invariant } from "./invariant.ts";
import type { LogIndex, NodeId } from "./types.ts";

export interface CoreOptions {
  readonly id: NodeId;
  /** Ticks of silence before an election; the actual timeout is drawn from this to twice this. More than a heartbeat. */
  readonly electionTicks: number;
  /** Ticks between a leader's heartbeats, at least 1. */
  readonly heartbeatTicks: number;
  /** Ask whether an election could be won before disturbing anybody (§9.6 of the dissertation). Default true. */
  readonly preVote?: boolean;
  /** A leader without a quorum steps down, and a follower with a leader ignores candidates. Default true. */
  readonly checkQuorum?: boolean;
  /** A leader that a change removed or demoted steps down when it has applied it. Default true. */
  readonly stepDownOnRemoval?: boolean;
  /** `sync`: the driver carries out a Ready, then calls `advance()`. Default `async`. */
  readonly storage?: "sync" | "async";
  /** Entry bytes in one append; the first entry always fits. Default 1 MiB. */
  readonly maxMessageBytes?: number;
  /** Appends on their way to one peer. Default 256. */
  readonly maxInflightMessages?: number;
  /** Entry bytes on their way to one peer. Default unlimited. */
  readonly maxInflightBytes?: number;
  /** Proposed but not yet applied; one proposal always fits when there are none. Default unlimited. */
  readonly maxUncommittedBytes?: number;
  /** Committed entries in the state machine's hands. Default 1 MiB. */
  readonly maxApplyBytes?: number;
  /** Reads waiting for their index at once. Default 4,096. */
  readonly maxPendingReads?: number;
  /**
   * `lease` answers reads without a round trip; trusts clocks not to drift apart, and all members to have the same
   * electionTicks, of the same length. Default `safe`.
   */
  readonly readMode?: "safe" | "lease";
  /** A refused connection counts as evidence that a leader is dead (adr/0004). Default false. */
  readonly deathEvidence?: boolean;
  /** A follower passes proposals on to its leader. Default false. */
  readonly forwardProposals?: boolean;
  /** Lets membership changes into the log that do not fit the current configuration. Default false. */
  readonly disableConfChangeValidation?: boolean;
  /** A whole number from 0 to below `bound`; the only dice. */
  readonly random: (bound: number) => number;
  /** What the state machine holds already. Default: the log's snapshot boundary. */
  readonly applied?: LogIndex;
}

export type Settings = Required<Omit<CoreOptions, "applied">>;

const DEFAULTS = {
  preVote: true,
  checkQuorum: true,
  stepDownOnRemoval: true,
  storage: "async",
  maxMessageBytes: 1024 * 1024,
  maxInflightMessages: 256,
  maxInflightBytes: Infinity,
  maxUncommittedBytes: Infinity,
  maxApplyBytes: 1024 * 1024,
  maxPendingReads: 4096,
  readMode: "safe",
  deathEvidence: false,
  forwardProposals: false,
  disableConfChangeValidation: false,
} as const;

/** Throws InvariantViolation: whoever builds a core has checked what the user configured. */
export function settingsOf(options: CoreOptions): Settings {
  const settings: Settings = { ...DEFAULTS, ...options };
  invariant(settings.id > 0, "a member has an id above 0");
  invariant(
    Number.isSafeInteger(settings.heartbeatTicks) && settings.heartbeatTicks >= 1,
    () => `heartbeatTicks is a whole number from 1, not ${settings.heartbeatTicks}`,
  );
  invariant(
    Number.isSafeInteger(settings.electionTicks) && settings.electionTicks > settings.heartbeatTicks,
    () => `electionTicks (${settings.electionTicks}) is above heartbeatTicks (${settings.heartbeatTicks})`,
  );
  for (const name of [
    "maxMessageBytes",
    "maxInflightMessages",
    "maxInflightBytes",
    "maxUncommittedBytes",
    "maxApplyBytes",
    "maxPendingReads",
  ] as const)
    invariant(settings[name] > 0, () => `${name} is above 0, not ${settings[name]}`);
  invariant(
    settings.maxInflightBytes >= settings.maxMessageBytes || settings.maxInflightBytes === Infinity,
    () =>
      `maxInflightBytes (${settings.maxInflightBytes}) holds one message of maxMessageBytes (${settings.maxMessageBytes})`,
  );
  invariant(
    settings.readMode === "safe" || settings.checkQuorum,
    "lease reads rest on checkQuorum: without it followers elect while the lease runs",
  );
  invariant(
    settings.readMode === "safe" || !settings.deathEvidence,
    "lease reads assume that followers stay silent; evidence of death lets them vote early (adr/0004)",
  );
  invariant(
    !settings.deathEvidence || settings.preVote,
    "evidence of death starts pre-votes, so it needs preVote",
  );
  return settings;
}
