/** Etcd's names for what we name otherwise. */
export const MESSAGE_NAMES = {
  append: "MsgApp",
  appendAccepted: "MsgAppResp",
  appendRejected: "MsgAppResp",
  voteRequest: "MsgVote",
  preVoteRequest: "MsgPreVote",
  voteResponse: "MsgVoteResp",
  preVoteResponse: "MsgPreVoteResp",
  heartbeat: "MsgHeartbeat",
  heartbeatResponse: "MsgHeartbeatResp",
  snapshot: "MsgSnap",
  transferLeader: "MsgTransferLeader",
  timeoutNow: "MsgTimeoutNow",
  propose: "MsgProp",
  readIndex: "MsgReadIndex",
  readIndexResponse: "MsgReadIndexResp",
} as const;

export const ROLE_NAMES = {
  follower: "StateFollower",
  preCandidate: "StatePreCandidate",
  candidate: "StateCandidate",
  leader: "StateLeader",
} as const;

export const STATE_NAMES = {
  probe: "StateProbe",
  replicate: "StateReplicate",
  snapshot: "StateSnapshot",
} as const;

export const ENTRY_NAMES = {
  normal: "EntryNormal",
  confChange: "EntryConfChange",
  confChangeV2: "EntryConfChangeV2",
} as const;

export const LOCAL_NAMES = { AppendThread: "AppendThread", ApplyThread: "ApplyThread" } as const;
