import type { Entry, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

/** What members of a group say to each other (Raft figure 2; §9.6, §3.10 and §6.4 of the dissertation). */
export type Message = Envelope & MessageBody;

export interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /** The sender's term; 0 only in messages that carry none (a forwarded proposal or read request). */
  readonly term: Term;
}

export type MessageBody =
  | {
      readonly kind: "append";
      readonly prevIndex: LogIndex;
      readonly prevTerm: Term;
      readonly entries: readonly Entry[];
      readonly commit: LogIndex;
    }
  | { readonly kind: "appendAccepted"; readonly match: LogIndex }
  /** `index`: the refused prevIndex. The hint is the last place where the logs may still agree. */
  | {
      readonly kind: "appendRejected";
      readonly index: LogIndex;
      readonly hintIndex: LogIndex;
      readonly hintTerm: Term;
    }
  | {
      readonly kind: "voteRequest" | "preVoteRequest";
      readonly lastIndex: LogIndex;
      readonly lastTerm: Term;
      /** Asked for by the leader: answered even while that leader is alive. */
      readonly transfer: boolean;
      /** The sender was refused a connection to this leader; 0 when it has no such evidence (adr/0004). */
      readonly deadLeader: NodeId;
    }
  | { readonly kind: "voteResponse" | "preVoteResponse"; readonly granted: boolean }
  | { readonly kind: "heartbeat"; readonly commit: LogIndex; readonly readToken: string }
  | { readonly kind: "heartbeatResponse"; readonly readToken: string }
  /** Announces a snapshot; the bytes travel beside it. */
  | { readonly kind: "snapshot"; readonly meta: SnapshotMeta }
  | { readonly kind: "transferLeader"; readonly target: NodeId }
  | { readonly kind: "timeoutNow" }
  | { readonly kind: "propose"; readonly entries: readonly Pick<Entry, "kind" | "data">[] }
  | { readonly kind: "readIndex"; readonly token: string }
  | { readonly kind: "readIndexResponse"; readonly token: string; readonly index: LogIndex };
