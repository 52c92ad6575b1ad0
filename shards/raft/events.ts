import type { ConfState, LogIndex, NodeId, Term } from "./types.ts";

export type Role = "follower" | "preCandidate" | "candidate" | "leader";

/** What happened inside the core: one stream for logs, metrics, transcripts and tests. The core itself never logs. */
export type CoreEvent =
  | { readonly kind: "roleChanged"; readonly role: Role; readonly term: Term }
  /** Not repeated while nothing changed; leader 0: nobody known. */
  | { readonly kind: "leaderChanged"; readonly leader: NodeId; readonly term: Term }
  /** `index`: of the entry or the snapshot that brought it. */
  | { readonly kind: "configurationApplied"; readonly conf: ConfState; readonly index: LogIndex }
  | { readonly kind: "proposalDropped"; readonly why: string }
  /** An input a correct peer never sends, or one that came too late; it changed nothing. */
  | { readonly kind: "messageDropped"; readonly from: NodeId; readonly type: string; readonly why: string }
  | { readonly kind: "voteRefused"; readonly candidate: NodeId; readonly term: Term; readonly why: string }
  | { readonly kind: "snapshotSent"; readonly to: NodeId; readonly index: LogIndex }
  | {
      readonly kind: "snapshotIgnored";
      readonly from: NodeId;
      readonly index: LogIndex;
      readonly why: string;
    }
  | { readonly kind: "steppedDown"; readonly term: Term; readonly why: string }
  /** A read that will not be confirmed: its leader stepped down, or no leader is known. */
  | { readonly kind: "readDropped"; readonly token: string; readonly why: string }
  | { readonly kind: "transferStarted"; readonly target: NodeId; readonly term: Term }
  | { readonly kind: "transferAbandoned"; readonly target: NodeId }
  | { readonly kind: "campaignRefused"; readonly why: string }
  /** A membership change that did not fit; an empty entry took its place in the log. */
  | { readonly kind: "confChangeRefused"; readonly why: string }
  /** This member has evidence that its leader is dead (adr/0004). */
  | { readonly kind: "leaderPresumedDead"; readonly leader: NodeId; readonly term: Term };
