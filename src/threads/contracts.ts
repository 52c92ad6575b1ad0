/** What the threads of a node ask of each other. Everything here is plain data that crosses by structured clone. */
import type { TlsIdentity } from "../../shards/adapters.ts";
import type { GroupStatus, HostLimits, PeerState, ProposalOutcome, ReadOutcome } from "../../shards/index.ts";
import type {
  EngineStats,
  PayloadSelector,
  PointId,
  ScoredPoint,
  ScrollPage,
  SearchQuery,
  StoredPoint,
  VectorSpec,
} from "../engine/types.ts";

/** One committed entry as plain data. */
export interface WireEntry {
  readonly term: number;
  readonly index: number;
  readonly data: Uint8Array;
}

interface OfGroup {
  readonly group: number;
}

/** The duties of an `ApplyOp`, asked by the consensus thread of whoever holds the group's state machine. */
export type ApplyContract = {
  readonly apply: {
    readonly request: OfGroup & { readonly entries: readonly WireEntry[] };
    readonly reply: readonly unknown[];
  };
  readonly appliedIndex: { readonly request: OfGroup; readonly reply: number };
  readonly durableIndex: { readonly request: OfGroup; readonly reply: number };
  readonly checkpoint: { readonly request: OfGroup; readonly reply: number };
  readonly capture: { readonly request: OfGroup; readonly reply: CapturedFiles };
  readonly readCaptured: {
    readonly request: {
      readonly capture: number;
      readonly name: string;
      readonly offset: number;
      readonly length: number;
    };
    readonly reply: Uint8Array;
  };
  readonly releaseCaptured: { readonly request: { readonly capture: number }; readonly reply: void };
  /** Reads the files back from the asker by `readRestored` until it is answered. */
  readonly restore: {
    readonly request: OfGroup & { readonly restore: CapturedFiles };
    readonly reply: void;
  };
};

/** A snapshot that lies open on one side of a connection, named by a number. */
export interface CapturedFiles {
  readonly capture: number;
  readonly index: number;
  readonly directory?: string | undefined;
  readonly readableIn?: string | undefined;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly sha256: string }[];
}

/** What the holder of a state machine may ask of the consensus thread meanwhile. */
export type RestoreContract = {
  readonly readRestored: {
    readonly request: {
      readonly capture: number;
      readonly name: string;
      readonly offset: number;
      readonly length: number;
    };
    readonly reply: Uint8Array;
  };
};

/** The same for an engine thread, which also tells when a shard's engine stopped, perhaps between two calls. */
export type HolderContract = RestoreContract & {
  readonly stateMachineFailed: {
    readonly request: OfGroup & { readonly message: string; readonly code: string };
    readonly reply: void;
  };
};

/** Where the consensus thread listens for other nodes, before it knows who it is. */
export interface PeerSettings {
  readonly address: string;
  /** `cluster.secret` */
  readonly secret: string | null;
  /** null: the peer port speaks no TLS. */
  readonly tls: PeerTls | null;
  /** Directory for snapshots on their way in. */
  readonly stagingPath: string;
  readonly snapshotBytesPerSecond: number;
}

/** Who this node is to others on the peer ports, and who they must be. */
export interface PeerTls extends TlsIdentity {
  /** Other nodes need a certificate by one of the authorities. */
  readonly mutual: boolean;
}

/** What the consensus thread needs to open the node's log. */
export interface ConsensusSettings {
  readonly raftFile: string;
  readonly nodeId: number;
  readonly clusterId: string;
  /** Drawn when the data directory was made. */
  readonly incarnation: string;
  /** Where others reach the peer port. */
  readonly advertise: string;
  readonly limits: Partial<HostLimits>;
}

/** Another node, as the catalogue has it. */
export interface Peer {
  readonly node: number;
  readonly address: string;
  readonly incarnation: string | null;
}

/** Asked of the consensus thread by the front. */
export type ConsensusContract = {
  /** First and once: binds the peer port and answers `HOST:PORT`. Fails with the system's code (EADDRINUSE, ...). */
  readonly listen: { readonly request: PeerSettings; readonly reply: string };
  /** New certificates for connections made from now on; nothing where `listen` was given none. */
  readonly replaceTls: { readonly request: TlsIdentity; readonly reply: void };
  /** Then, once: opens the log. Fails with the log's code (LOG_CORRUPT, LOG_LOCKED, ...). */
  readonly start: { readonly request: ConsensusSettings; readonly reply: void };
  /** Groups that have a log here, without group 0. */
  readonly groups: { readonly request: null; readonly reply: readonly number[] };
  /** Whom to exchange messages with; all others are disconnected. */
  readonly setPeers: { readonly request: readonly Peer[]; readonly reply: void };
  /** Asks a node that need not be a member yet, over its peer port. */
  readonly callPeer: {
    readonly request: {
      readonly address: string;
      readonly name: string;
      readonly body: Uint8Array;
      readonly timeoutMs: number;
    };
    readonly reply: Uint8Array;
  };
  /**
   * `engine`: the engine thread that holds its state machine; null: the front (group 0). `founders`: its first voters,
   * empty on a newcomer; looked at only when there is no log of it yet.
   */
  readonly openGroup: {
    readonly request: OfGroup & { readonly engine: number | null; readonly founders: readonly number[] };
    readonly reply: GroupStatus;
  };
  readonly closeGroup: { readonly request: OfGroup; readonly reply: void };
  readonly destroyGroup: { readonly request: OfGroup; readonly reply: void };
  readonly propose: {
    readonly request: OfGroup & {
      readonly data: Uint8Array;
      readonly wait: "applied" | "committed";
      readonly timeoutMs: number;
    };
    readonly reply: ProposalOutcome;
  };
  readonly readIndex: {
    readonly request: OfGroup & { readonly timeoutMs: number };
    readonly reply: ReadOutcome;
  };
  readonly waitApplied: {
    readonly request: OfGroup & { readonly index: number; readonly timeoutMs: number };
    readonly reply: ReadOutcome;
  };
  readonly status: { readonly request: OfGroup; readonly reply: GroupStatus | null };
  /** Of all groups that are open here. */
  readonly statuses: { readonly request: null; readonly reply: readonly GroupStatus[] };
  readonly changeMembership: {
    readonly request: OfGroup & { readonly steps: readonly MembershipRequest[]; readonly timeoutMs: number };
    readonly reply: ProposalOutcome;
  };
  /** Why leadership is not being handed over, or null: it is begun. */
  readonly transfer: {
    readonly request: OfGroup & { readonly to: number };
    readonly reply: string | null;
  };
  /** Gives away every leadership that another voter can take; resolves when they are gone or the time is over. */
  readonly handOver: { readonly request: { readonly timeoutMs: number }; readonly reply: void };
  /** Closes all groups and then the log; nothing may be asked afterwards. */
  readonly close: { readonly request: null; readonly reply: void };
};

export interface MembershipRequest {
  readonly kind: "addVoter" | "addLearner" | "remove";
  readonly node: number;
}

/** Told to the front by every thread. */
export type ReportContract = {
  readonly report: { readonly request: ThreadReport; readonly reply: void };
  readonly log: { readonly request: LogLine; readonly reply: void };
  readonly shard: { readonly request: ShardNews; readonly reply: void };
};

/** Told to the front by the consensus thread. */
export type ConsensusReports = ApplyContract &
  ReportContract & {
    readonly group: { readonly request: GroupChange; readonly reply: void };
    /** The connection to another node changed. */
    readonly peer: {
      readonly request: { readonly node: number; readonly state: PeerState };
      readonly reply: void;
    };
    /** What another node asks over the peer port: one that knows the secret, and may not be a member yet. */
    readonly peerCall: {
      readonly request: { readonly name: string; readonly body: Uint8Array };
      readonly reply: Uint8Array;
    };
    readonly samples: { readonly request: ConsensusSamples; readonly reply: void };
  };

/** One line that an operator would want, for the log of the front. */
export interface LogLine {
  readonly level: "debug" | "info" | "warn" | "error";
  readonly message: string;
  readonly fields: Readonly<Record<string, string | number | boolean | null>>;
}

/** What a shard is busy with, for `/readyz`; null: nothing any more. */
export interface ShardNews {
  readonly group: number;
  readonly busy: string | null;
}

/** How late a thread's turns came since its last report, in ms. */
export interface ThreadReport {
  readonly thread: string;
  readonly delayP50Ms: number;
  readonly delayP99Ms: number;
  readonly delayMaxMs: number;
  readonly heapBytes: number;
  /** Frames that arrived and wait for their slice. */
  readonly waiting: number;
}

export type GroupChange =
  | { readonly kind: "role"; readonly group: number; readonly role: string; readonly term: number }
  | {
      readonly kind: "leader";
      readonly group: number;
      readonly leader: number | null;
      readonly term: number;
    }
  | { readonly kind: "stopped"; readonly group: number; readonly why: string; readonly code: string | null };

/** What the consensus thread measured since the last time; durations in ms. */
export interface ConsensusSamples {
  readonly logWriteMs: readonly number[];
  readonly commitMs: readonly number[];
  readonly applyMs: readonly number[];
  readonly lateMs: readonly number[];
  readonly turnMs: readonly number[];
  readonly entries: number;
  readonly bytes: number;
  readonly compactions: number;
  readonly queued: number;
  /** Highest lag of any group in the period. */
  readonly lagEntries: number;
  readonly lagBytes: number;
  /** Elections this node stood in, over all groups. */
  readonly elections: number;
  /** Proposals of this node, by how they ended. */
  readonly proposals: Readonly<Record<string, number>>;
  /** Transfers that moved on, each with its latest state. */
  readonly snapshots: readonly {
    readonly group: number;
    readonly direction: "in" | "out";
    readonly bytes: number;
    readonly total: number;
  }[];
  /** Messages that never reached a core, or never left, by why. */
  readonly dropped: Readonly<Record<string, number>>;
}

/** Asked of the consensus thread by an engine thread, and the front as the holder of group 0. */
export type ConsensusFrontContract = ConsensusContract & RestoreContract;

/** Asked of an engine thread by the front. `directory` is the shard's own. */
export type EngineContract = {
  readonly open: {
    readonly request: OfGroup & { readonly directory: string; readonly vectors: VectorSpec };
    readonly reply: { readonly applied: number };
  };
  readonly closeShard: { readonly request: OfGroup; readonly reply: void };
  readonly destroyShard: { readonly request: OfGroup & { readonly directory: string }; readonly reply: void };
  readonly search: {
    readonly request: OfGroup & { readonly queries: readonly SearchQuery[] };
    readonly reply: readonly (readonly ScoredPoint[])[];
  };
  readonly retrieve: {
    readonly request: OfGroup & {
      readonly ids: readonly PointId[];
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    };
    readonly reply: readonly StoredPoint[];
  };
  readonly scroll: {
    readonly request: OfGroup & {
      readonly from: PointId | null;
      readonly limit: number;
      readonly withPayload: PayloadSelector;
      readonly withVector: boolean;
    };
    readonly reply: ScrollPage;
  };
  readonly count: { readonly request: OfGroup; readonly reply: number };
  readonly stats: { readonly request: OfGroup; readonly reply: EngineStats };
  /** Makes every shard durable, saves what is worth saving, closes them; nothing may be asked afterwards. */
  readonly close: { readonly request: null; readonly reply: void };
};
