import { expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/raft/types.ts";
import { SnapshotSource } from "../../shards/snapshot-source.ts";
import { RecordingMachine } from "./support/machine.ts";

function sourceOver(machine: RecordingMachine, boundary = 0): SnapshotSource {
  const conf = { voters: [], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
  return new SnapshotSource({
    applyOp: machine,
    keepTicks: 10,
    metaAt: (index) => (index < boundary ? "compacted" : { index, term: Term(1), conf }),
    onCaptured: () => undefined,
    onFailed: (error) => {
      throw error;
    },
  });
}

async function captured(source: SnapshotSource): Promise<number> {
  if (source.newest(1) === null) await Promise.resolve();
  await Promise.resolve();
  return source.newest(1)?.index ?? -1;
}

test("a snapshot from before a membership change is not offered to those who came with it", async () => {
  const machine = new RecordingMachine();
  machine.applied = 5;
  const source = sourceOver(machine);
  expect(await captured(source)).toBe(5);
  machine.applied = 8;
  expect(await captured(source)).toBe(5);

  source.neededFrom(LogIndex(8));
  expect(source.newest(2)).toBeNull();
  expect(await captured(source)).toBe(8);
});

test("one that is being sent is kept until it is released", async () => {
  const machine = new RecordingMachine();
  machine.applied = 5;
  const source = sourceOver(machine);
  await captured(source);
  expect(source.acquire(LogIndex(5))?.index).toBe(5);
  source.neededFrom(LogIndex(6));
  machine.applied = 6;
  expect(await captured(source)).toBe(-1);
  expect(machine.openSnapshots).toBe(1);

  source.release(LogIndex(5), 3);
  expect(await captured(source)).toBe(6);
});

test("one that the log was compacted beyond while it was captured is captured anew", async () => {
  const machine = new RecordingMachine();
  machine.applied = 5;
  const source = sourceOver(machine, 7);
  expect(await captured(source)).toBe(-1);
  expect(machine.openSnapshots).toBe(1);
  machine.applied = 9;
  expect(await captured(source)).toBe(9);
  expect(machine.openSnapshots).toBe(1);
});
