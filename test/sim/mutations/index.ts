import type { Mutation } from "./mutation.ts";
import { oneVote } from "./01-one-vote.ts";
import { durableFirst } from "./02-durable-first.ts";
import { storageFaults } from "./03-storage-faults.ts";
import { verifiedCommit } from "./04-verified-commit.ts";
import { verifiedMatch } from "./05-verified-match.ts";
import { noRewrite } from "./06-no-rewrite.ts";
import { ownTermCommit } from "./07-own-term-commit.ts";
import { safeReads } from "./08-safe-reads.ts";
import { leases } from "./09-leases.ts";
import { overlappingMajorities } from "./10-overlapping-majorities.ts";
import { oneChange } from "./11-one-change.ts";
import { snapshots } from "./12-snapshots.ts";
import { identity } from "./13-identity.ts";
import { configurationKept } from "./14-configuration-kept.ts";
import { appliedBehindCommit } from "./15-applied-behind-commit.ts";
import { electionTimer } from "./16-election-timer.ts";
import { crossTalk } from "./17-cross-talk.ts";
import { oneTransaction } from "./18-one-transaction.ts";
import { resting } from "./19-resting.ts";

/** Every line of the list of what must never happen, as one planted bug or several. */
export const MUTATIONS: readonly Mutation[] = [
  ...oneVote,
  ...durableFirst,
  ...storageFaults,
  ...verifiedCommit,
  ...verifiedMatch,
  ...noRewrite,
  ...ownTermCommit,
  ...safeReads,
  ...leases,
  ...overlappingMajorities,
  ...oneChange,
  ...snapshots,
  ...identity,
  ...configurationKept,
  ...appliedBehindCommit,
  ...electionTimer,
  ...crossTalk,
  ...oneTransaction,
  ...resting,
];
