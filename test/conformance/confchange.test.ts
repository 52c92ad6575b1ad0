import { afterAll, describe, expect, test } from "vitest";
import { describeConf, describePeer } from "./etcd/describe.ts";
import { enterJoint, leaveJoint, simpleChange } from "../../shards/raft/changer.ts";
import { LogIndex } from "../../shards/raft/types.ts";
import { parseSteps } from "./etcd/conf-steps.ts";
import { suite, type Directive } from "./etcd/data-file.ts";
import { Tracker } from "../../shards/raft/tracker.ts";

const files = suite("confchange/testdata");
let passed = 0;

describe.skipIf(files.length === 0)("etcd's confchange suite", () => {
  for (const file of files)
    test(file.name, () => {
      const tracker = new Tracker({ maxInflightMessages: 10, maxInflightBytes: Infinity });
      file.directives.forEach((directive, lastIndex) => {
        expect(run(tracker, directive, lastIndex), `${file.name}:${directive.line}`).toBe(directive.expected);
        passed++;
      });
    });
  test("the suite is complete", () => {
    expect(files.flatMap((file) => file.directives)).toHaveLength(58);
  });
  afterAll(() => console.log(`etcd confchange: ${passed}/58 cases`));
});

function run(tracker: Tracker, directive: Directive, lastIndex: number): string {
  const result = change(tracker, directive);
  if (result.kind === "refused") return result.why;
  tracker.reconfigure(result.conf, LogIndex(lastIndex));
  const peers = tracker.members.map((peer) =>
    describePeer({
      ...peer,
      id: peer.id,
      learner: tracker.isLearner(peer.id),
      active: peer.isActive,
      paused: peer.isPaused(),
      inflightMessages: peer.inflights.count,
      inflightFull: peer.inflights.isFull(),
    }),
  );
  return [describeConf(tracker.conf), ...peers].join("\n");
}

function change(tracker: Tracker, directive: Directive) {
  const steps = parseSteps(directive.input);
  switch (directive.command) {
    case "simple":
      return simpleChange(tracker.conf, steps);
    case "enter-joint": {
      const autoLeave = directive.args.some((arg) => arg.key === "autoleave" && arg.values[0] === "true");
      return enterJoint(tracker.conf, autoLeave, steps);
    }
    case "leave-joint":
      return leaveJoint(tracker.conf);
    default:
      throw new Error(`unknown command ${directive.command}`);
  }
}
