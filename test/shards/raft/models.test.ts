/** Fast code against obvious slow code, over random inputs from a fixed seed. */
import { expect, test } from "vitest";
import fc from "fast-check";
import { enterJoint, leaveJoint, simpleChange, whyBroken, EMPTY_CONF } from "../../../shards/raft/changer.ts";
import { entry } from "./support/cluster.ts";
import { Inflights } from "../../../shards/raft/inflights.ts";
import { jointIndex, majorityIndex, majorityVote } from "../../../shards/raft/quorum.ts";
import { LogIndex, NodeId, Term, type Entry } from "../../../shards/raft/types.ts";
import { LogTail } from "../../../shards/raft/log-tail.ts";
import { confChange, decodeConfChange, encodeConfChange } from "../../../shards/raft/conf-change.ts";

const runs = { seed: 20_261, numRuns: 300 };
const ids = fc.uniqueArray(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 7 });
const steps = fc.array(
  fc.record({
    kind: fc.constantFrom("addVoter", "addLearner", "remove", "update"),
    node: fc.integer({ min: 1, max: 6 }).map(NodeId),
  }),
  { maxLength: 5 },
);

test("the majority's index is the highest that more than half have reached", () => {
  fc.assert(
    fc.property(ids, fc.array(fc.nat(20), { minLength: 10, maxLength: 10 }), (members, matches) => {
      const reached = (index: number): boolean =>
        2 * members.filter((id) => (matches[id] ?? 0) >= index).length > members.length;
      const slow = Math.max(...Array.from({ length: 21 }, (_, index) => index).filter(reached));
      const voters = members.map(NodeId);
      expect(majorityIndex(voters, (id) => matches[id])).toBe(slow);
      expect(jointIndex(voters, voters, (id) => matches[id])).toBe(slow);
    }),
    runs,
  );
});

test("two elections that were both won share a voter", () => {
  fc.assert(
    fc.property(ids, fc.array(fc.boolean(), { minLength: 10, maxLength: 10 }), (members, yes) => {
      const voters = members.map(NodeId);
      const one = majorityVote(voters, (id) => yes[id] === true);
      const others = majorityVote(voters, (id) => yes[id] !== true);
      expect(one === "won" && others === "won").toBe(false);
    }),
    runs,
  );
});

test("whatever is changed, a configuration stays in order, and a simple step moves at most one vote", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(steps, fc.constantFrom("simple", "joint", "leave")), { maxLength: 12 }),
      (list) => {
        let conf = { ...EMPTY_CONF, voters: [NodeId(1)] };
        for (const [change, how] of list) {
          const result =
            how === "simple"
              ? simpleChange(conf, change)
              : how === "joint"
                ? enterJoint(conf, true, change)
                : leaveJoint(conf);
          if (result.kind === "refused") continue;
          expect(whyBroken(result.conf)).toBeNull();
          expect(result.conf.voters.length).toBeGreaterThan(0);
          if (how === "simple") {
            const now = new Set<number>(result.conf.voters);
            const moved = [...conf.voters].filter((id) => !now.delete(id)).length + now.size;
            expect(moved).toBeLessThanOrEqual(1);
          }
          conf = { ...result.conf, voters: [...result.conf.voters] };
        }
      },
    ),
    runs,
  );
});

test("a membership change comes back from its bytes; other bytes are never misread or thrown over", () => {
  fc.assert(
    fc.property(
      steps,
      fc.constantFrom("auto", "implicit", "explicit"),
      fc.uint8Array(),
      (list, transition, noise) => {
        const change = confChange(list, { transition, context: noise });
        expect(decodeConfChange({ kind: "confChangeV2", data: encodeConfChange(change) })).toEqual(change);
        expect(() => decodeConfChange({ kind: "confChange", data: noise })).not.toThrow();
      },
    ),
    runs,
  );
});

test("the window forgets exactly what was acknowledged", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.boolean(), fc.nat(40)), { maxLength: 400 }), (acts) => {
      const window = new Inflights(100, Infinity);
      let slow: number[] = [];
      let last = 0;
      for (const [adds, number] of acts) {
        if (adds && slow.length < 100) {
          window.add(LogIndex(++last), number);
          slow.push(last);
        } else {
          const match = Math.max(0, last - number);
          window.freeUpTo(LogIndex(match));
          slow = slow.filter((each) => each > match);
        }
        expect(window.count).toBe(slow.length);
        expect(window.isFull()).toBe(slow.length >= 100);
      }
    }),
    runs,
  );
});

test("the tail holds what was appended last, and calls durable only what was not replaced since", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.nat(6), fc.nat(4)), { maxLength: 60 }), (acts) => {
      const tail = new LogTail(LogIndex(1));
      let slow: Entry[] = [];
      let stable = 0;
      let term = 1;
      for (const [act, back, count] of acts) {
        const last = slow.length;
        if (act === 0 && count > 0) {
          // A new leader replaces the end.
          term++;
          const from = Math.max(0, last - back);
          const fresh = Array.from({ length: count }, (_, at) =>
            entry(term, from + at + 1, "x".repeat(back)),
          );
          tail.truncateAndAppend(fresh);
          slow = [...slow.slice(0, from), ...fresh];
          stable = Math.min(stable, from);
        } else if (act === 1) tail.accept();
        else if (act === 2 && last > 0) {
          const index = Math.max(1, last - back);
          const vouched = slow[index - 1]?.term ?? 0;
          // Half of the reports are about an entry that is no longer there.
          const reported = count % 2 === 0 ? vouched : vouched + 1;
          tail.stableTo(LogIndex(index), Term(reported));
          if (reported === vouched) stable = Math.max(stable, index);
        } else tail.trim(LogIndex(Math.max(0, stable - back)));
        expect(tail.end).toBe(slow.length + 1);
        expect(tail.unstable).toBe(stable + 1);
        expect(tail.slice(tail.first, tail.end)).toEqual(slow.slice(tail.first - 1));
      }
    }),
    runs,
  );
});
