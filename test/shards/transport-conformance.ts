import { expect, test } from "vitest";
import { GroupId, LogIndex, NodeId, Term } from "../../shards/index.ts";
import type { GroupMessage, Message, Transport } from "../../shards/index.ts";
import { Recorder } from "./support/recorder.ts";
import { announce, body, captured } from "./support/snapshots.ts";

export interface TransportPair {
  /** Of node 1 and of node 2, started with the two receivers and ready to carry in both directions. */
  readonly one: Transport;
  readonly two: Transport;
  /** Brings what was sent on its way, where that does not happen by itself. */
  readonly deliver: () => void;
}

export interface TransportSubject {
  readonly name: string;
  /** Node 9 cannot be reached. The pair is gone when the test is over. */
  readonly open: (one: Recorder, two: Recorder) => Promise<TransportPair>;
}

const head = { from: NodeId(1), to: NodeId(2), term: Term(7) };
const [at, term, data] = [LogIndex(5), Term(6), body(33)];

/** One of each kind. */
export const EVERY_KIND: readonly Message[] = [
  {
    ...head,
    kind: "append",
    prevIndex: LogIndex(4),
    prevTerm: term,
    commit: LogIndex(3),
    entries: [
      { term, index: at, kind: "normal", data },
      { term, index: LogIndex(6), kind: "confChangeV2", data: new Uint8Array(0) },
    ],
  },
  { ...head, kind: "appendAccepted", match: at },
  { ...head, kind: "appendRejected", index: at, hintIndex: LogIndex(2), hintTerm: Term(1) },
  { ...head, kind: "voteRequest", lastIndex: at, lastTerm: term, transfer: true, deadLeader: NodeId(3) },
  { ...head, kind: "preVoteRequest", lastIndex: at, lastTerm: term, transfer: false, deadLeader: NodeId(3) },
  { ...head, kind: "voteResponse", granted: true },
  { ...head, kind: "preVoteResponse", granted: false },
  { ...head, kind: "heartbeat", commit: at, readToken: "1-2" },
  { ...head, kind: "heartbeatResponse", readToken: "" },
  { ...head, kind: "transferLeader", target: NodeId(2) },
  { ...head, kind: "timeoutNow" },
  { ...head, kind: "propose", entries: [{ kind: "normal", data }] },
  { ...head, kind: "readIndex", token: "read" },
  { ...head, kind: "readIndexResponse", token: "read", index: at },
];

const inGroup = (message: Message, group = 1): GroupMessage => ({ group: GroupId(group), message });

/** What every {@link Transport} keeps: the duties of `shards/ports.ts`. */
export function transportConformance({ name, open }: TransportSubject): void {
  const pair = async () => {
    const [first, second] = [new Recorder(), new Recorder()];
    return { first, second, ...(await open(first, second)) };
  };

  test(`${name}: carries every kind of message unaltered and in order, and says who speaks to whom`, async () => {
    const { one, second, deliver } = await pair();
    const sent = EVERY_KIND.map((message, group) => inGroup(message, group));
    one.send(NodeId(2), sent);
    deliver();
    await second.until(() => second.all.length >= sent.length);
    expect(second.all).toEqual(sent);
    expect(second.batches[0]?.envelope).toMatchObject({ cluster: "test", sender: 1, receiver: 2 });
  });

  test(`${name}: brings one turn's messages of all groups together`, async () => {
    const { one, second, deliver } = await pair();
    const heartbeat: Message = { ...head, kind: "heartbeat", commit: at, readToken: "" };
    const turn = Array.from({ length: 1_000 }, (_, group) => inGroup(heartbeat, group));
    one.send(NodeId(2), turn);
    deliver();
    await second.until(() => second.all.length >= turn.length);
    expect(second.batches).toHaveLength(1);
    expect(second.all).toEqual(turn);
  });

  test(`${name}: carries in both directions, and never from inside a send`, async () => {
    const { one, two, first, second, deliver } = await pair();
    one.send(NodeId(2), [inGroup({ ...head, kind: "timeoutNow" })]);
    two.send(NodeId(1), [inGroup({ ...head, from: NodeId(2), to: NodeId(1), kind: "timeoutNow" })]);
    expect([first.batches, second.batches]).toEqual([[], []]);
    deliver();
    await first.until(() => first.all.length > 0);
    await second.until(() => second.all.length > 0);
    expect(first.batches[0]?.envelope).toMatchObject({ sender: 2, receiver: 1 });
  });

  test(`${name}: loses what goes to nobody, without a word to the caller`, async () => {
    const { one, first, second, deliver } = await pair();
    expect(() => one.send(NodeId(9), [inGroup({ ...head, kind: "timeoutNow" })])).not.toThrow();
    deliver();
    expect(await one.sendSnapshot(NodeId(9), announce(), captured({ a: body(10) }))).toBe(false);
    expect([first.all, second.all, second.snapshots]).toEqual([[], [], []]);
  });

  test(`${name}: hands over a snapshot with all its files before it says so`, async () => {
    const { one, second, deliver } = await pair();
    const files = { graph: body(700_001), points: body(300_000, 7), empty: new Uint8Array(0) };
    const source = captured(files);
    expect(await one.sendSnapshot(NodeId(2), announce(), source)).toBe(true);
    deliver();
    await second.until(() => second.snapshots.length > 0);
    const [got] = second.snapshots;
    if (got === undefined) throw new Error("no snapshot arrived");
    await using staged = got.staged;
    expect(got.message).toEqual(announce());
    expect([staged.index, staged.files]).toEqual([source.index, source.files]);
    for (const [file, data] of Object.entries(files)) {
      expect(Buffer.compare(await staged.read(file, 0, data.length), data)).toBe(0);
      expect(await staged.read(file, data.length, 10)).toHaveLength(0);
    }
    expect(Buffer.compare(await staged.read("graph", 699_990, 100), files.graph.subarray(699_990))).toBe(0);
  });
}
