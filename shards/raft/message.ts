import type { Entry, LogIndex, NodeId, SnapshotMeta, Term } from "./types.ts";

/** What members of a group say to each other (Raft figure 2; §9.6, §3.10 and §6.4 of the dissertation). */
export type Message = Envelope & MessageBody;

export interface Envelope {
  readonly from: NodeId;
  readonly to: NodeId;
  /**
   * The sender's term. A pre-vote request, and a granted pre-vote, carry the term that would be campaigned for. 0 only
   * in messages that carry none: a forwarded proposal, read request or transfer request.
   */
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
  /** `match`: the last index verified to agree. 0 answers a leader of an older term, to tell it the term. */
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
  /** Announces a snapshot; the bytes travel beside it. Stepped into the core when they are complete and verified. */
  | { readonly kind: "snapshot"; readonly meta: SnapshotMeta }
  /** Asks the leader, from a member that was asked. */
  | { readonly kind: "transferLeader"; readonly target: NodeId }
  | { readonly kind: "timeoutNow" }
  | { readonly kind: "propose"; readonly entries: readonly Pick<Entry, "kind" | "data">[] }
  | { readonly kind: "readIndex"; readonly token: string }
  | { readonly kind: "readIndexResponse"; readonly token: string; readonly index: LogIndex };
