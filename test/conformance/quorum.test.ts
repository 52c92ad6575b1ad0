import { afterAll, describe, expect, test } from "vitest";
import { jointIndex, jointVote, majorityIndex, majorityVote } from "../../shards/raft/quorum.ts";
import { NodeId } from "../../shards/raft/types.ts";
import { suite, type Directive } from "./etcd/data-file.ts";

const files = suite("quorum/testdata");
let passed = 0;

describe.skipIf(files.length === 0)("etcd's quorum suite", () => {
  for (const file of files)
    test(file.name, () => {
      for (const directive of file.directives) {
        expect(run(directive), `${file.name}:${directive.line}`).toBe(directive.expected);
        passed++;
      }
    });
  test("the suite is complete", () => {
    expect(files.flatMap((file) => file.directives)).toHaveLength(127);
  });
  afterAll(() => console.log(`etcd quorum: ${passed}/127 cases`));
});

function run(directive: Directive): string {
  const values = (key: string) =>
    directive.args.filter((arg) => arg.key === key).flatMap((arg) => arg.values);
  const isJoint = directive.args.some((arg) => arg.key === "cfgj");
  const ids = (key: string) =>
    values(key)
      .filter((value) => value !== "zero")
      .map((value) => NodeId(Number(value)));
  const incoming = ids("cfg");
  const outgoing = ids("cfgj");
  const voters = [...new Set([...incoming, ...outgoing])];
  const given = values(directive.command === "vote" ? "votes" : "idx");
  if (given.length !== voters.length)
    return `error: mismatched input (explicit or _) for voters [${voters.join(" ")}]: [${given.join(" ")}]`;

  if (directive.command === "vote") {
    const votes = new Map<NodeId, boolean>();
    voters.forEach((id, at) => given[at] !== "_" && votes.set(id, given[at] === "y"));
    const voteOf = (id: NodeId) => votes.get(id);
    const result = isJoint ? jointVote(incoming, outgoing, voteOf) : majorityVote(incoming, voteOf);
    if (isJoint) expect(jointVote(outgoing, incoming, voteOf), "the halves are alike").toBe(result);
    return { won: "VoteWon", lost: "VoteLost", pending: "VotePending" }[result];
  }
  const indexes = new Map<NodeId, number>();
  voters.forEach((id, at) => Number(given[at]) > 0 && indexes.set(id, Number(given[at])));
  const indexOf = (id: NodeId) => indexes.get(id);
  const result = isJoint ? jointIndex(incoming, outgoing, indexOf) : majorityIndex(incoming, indexOf);
  if (isJoint) expect(jointIndex(outgoing, incoming, indexOf), "the halves are alike").toBe(result);
  return picture(voters, indexes) + (result === Infinity ? "∞" : String(result));
}

/** Etcd's drawing of who is how far: one bar per voter, as long as its place in the order. */
function picture(voters: readonly NodeId[], indexes: ReadonlyMap<NodeId, number>): string {
  if (voters.length === 0) return "<empty majority quorum>";
  const count = voters.length;
  const reached = (id: NodeId): number => indexes.get(id) ?? 0;
  const lines = [...voters]
    .sort((a, b) => a - b)
    .map((id) => {
      const bar = voters.filter((other) => reached(other) < reached(id)).length;
      const drawn = indexes.has(id)
        ? "x".repeat(bar) + ">" + " ".repeat(count - bar)
        : "?" + " ".repeat(count);
      return `${drawn} ${String(reached(id)).padStart(5)}    (id=${id})`;
    });
  return [" ".repeat(count) + "    idx", ...lines, ""].join("\n");
}
