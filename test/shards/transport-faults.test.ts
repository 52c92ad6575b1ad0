/** Peers that are neither dead nor well: the network swallows everything, or nobody reads. */
import { expect, onTestFinished, test } from "vitest";
import { NodeId } from "../../shards/index.ts";
import { KEEPALIVE } from "../../shards/transport/wire.ts";
import { Passage } from "./support/passage.ts";
import { StuffedPeer } from "./support/stuffed-peer.ts";
import { announce, body, captured } from "./support/snapshots.ts";
import { append, at, has, heartbeat, node, proposal, type Node } from "./support/transport-node.ts";

const MIB = 1 << 20;
const QUEUE = { queueBytesMax: 8 * MIB, frameBytes: MIB };
/** What the machine may add to what the keepalive promises. */
const SLACK_MS = 5_000;

const big = proposal(MIB);
const dropped = ({ events }: Node, because: "queueFull" | "disconnected"): number =>
  events.reduce(
    (sum, event) => sum + (event.kind === "messagesDropped" && event.why === because ? event.count : 0),
    0,
  );
/** Until the event loop has turned, so that what can leave has left. */
const turn = async (): Promise<void> => await new Promise((resolve) => setImmediate(resolve));

test("a peer behind a black hole is reported lost in the time of the keepalive, on both sides, and found again", async () => {
  const [one, two] = [await node(1, { limits: QUEUE }), await node(2)];
  const passage = await Passage.to(two.transport.address);
  onTestFinished(async () => await passage[Symbol.asyncDispose]());
  one.transport.setPeers([{ ...at(2, two), address: passage.address }]);
  await one.seen.until(() => one.seen.saw("connected"));
  one.transport.send(NodeId(2), [heartbeat]);
  await two.seen.until(() => two.seen.all.length === 1);

  const lostMs = performance.now();
  const givenUp = passage.lose();
  // Nobody knows yet: what is sent waits for a window that is never opened again, and no more of it than the queue takes.
  for (let sent = 0; sent < 40; sent++) {
    one.transport.send(NodeId(2), [big]);
    await turn();
  }
  expect(one.seen.peers.map(({ state }) => state)).toEqual(["connected"]);
  // Beside the queue there is the window of HTTP/2 and one frame.
  expect(dropped(one, "queueFull")).toBeGreaterThanOrEqual(40 - 8 - 4 - 2);
  await one.seen.until(() => one.seen.saw("lost"));
  const bound = KEEPALIVE.everyMs + KEEPALIVE.answerWithinMs + SLACK_MS;
  expect(performance.now() - lostMs).toBeLessThan(bound);
  one.transport.send(NodeId(2), [heartbeat]);
  expect(dropped(one, "disconnected")).toBe(1);
  // Also by the one who was dialled: otherwise each hole would leave a stream behind.
  await givenUp;
  expect(performance.now() - lostMs).toBeLessThan(bound);
  await one.seen.until(() => one.seen.saw("unreachable"));

  passage.heal();
  await one.seen.until(() => one.seen.peers.at(-1)?.state === "connected");
  const before = two.seen.all.length;
  one.transport.send(NodeId(2), [heartbeat]);
  await two.seen.until(() => two.seen.all.length > before);
  expect(two.seen.all.at(-1)).toEqual(heartbeat);
});

test("a slow link is not taken for a lost one, however much waits for it", async () => {
  const [one, two] = [await node(1), await node(2)];
  const passage = await Passage.to(two.transport.address, MIB);
  onTestFinished(async () => await passage[Symbol.asyncDispose]());
  one.transport.setPeers([{ ...at(2, two), address: passage.address }]);
  await one.seen.until(() => one.seen.saw("connected"));
  const startMs = performance.now();
  for (let sent = 0; sent < 6; sent++) one.transport.send(NodeId(2), [big]);
  const arrived = two.seen.until(() => two.seen.all.length === 6);
  await Promise.race([arrived, one.seen.until(() => one.seen.peers.length > 1)]);
  expect(one.seen.peers.map(({ state }) => state)).toEqual(["connected"]);
  expect(two.seen.all).toHaveLength(6);
  // Long enough for a ping to be sent and missed meanwhile.
  expect(performance.now() - startMs).toBeGreaterThan(KEEPALIVE.everyMs + KEEPALIVE.answerWithinMs);
});

test("on a slow link entries in bulk hold up no heartbeat, and keep their order", async () => {
  const [one, two] = [await node(1), await node(2)];
  const passage = await Passage.to(two.transport.address, 4 * MIB);
  onTestFinished(async () => await passage[Symbol.asyncDispose]());
  one.transport.setPeers([{ ...at(2, two), address: passage.address }]);
  await one.seen.until(() => one.seen.saw("connected"));
  let sent = 0;
  // Their stream is opened by the first of them, which do not wait for it.
  for (let overtook = false; !overtook;) {
    const before = two.seen.all.length;
    for (const last = sent + 3; sent < last; sent++) one.transport.send(NodeId(2), [append(sent, MIB)]);
    one.transport.send(NodeId(2), [append(sent++, 1), heartbeat]);
    await two.seen.until(() => two.seen.all.length === before + 5);
    overtook = two.seen.all[before]?.message.kind === "heartbeat";
  }
  const order = two.seen.all.flatMap(({ message }) => (message.kind === "append" ? [message.prevIndex] : []));
  expect(order).toEqual(Array.from({ length: sent }, (_, at) => at));
  expect(one.seen.peers.map(({ state }) => state)).toEqual(["connected"]);
});

test("a peer that reads nothing holds up neither its sender's memory nor another peer", async () => {
  const [one, three] = [await node(1, { limits: QUEUE }), await node(3)];
  const stuffed = await StuffedPeer.open("secret");
  onTestFinished(async () => await stuffed[Symbol.asyncDispose]());
  stuffed.onRead = () => one.seen.changed();
  const two = { node: NodeId(2), address: stuffed.address, incarnation: null };
  one.transport.setPeers([two, at(3, three)]);
  await one.seen.until(() => one.seen.peers.length === 2);
  expect(new Set(one.seen.peers.map(({ state }) => state))).toEqual(new Set(["connected"]));

  const many = 200;
  for (let sent = 0; sent < many; sent++) {
    one.transport.send(NodeId(2), [big]);
    await turn();
  }
  const taken = many - dropped(one, "queueFull");
  expect(taken).toBeLessThanOrEqual(8 + 4 + 2);
  // While all of it waits, the other one hears of everything.
  for (let sent = 1; sent <= 10; sent++) {
    one.transport.send(NodeId(3), [heartbeat]);
    await three.seen.until(() => three.seen.all.length === sent);
  }
  expect(dropped(one, "queueFull")).toBe(many - taken);
  expect(has(one.events, { kind: "messagesDropped", to: NodeId(3) })).toBe(false);

  // It is slow, not gone: it answers pings, so what it was sent is kept, and comes when it reads again.
  stuffed.unstuff();
  await one.seen.until(() => stuffed.read.length === taken);
  expect(stuffed.read.every((bytes) => bytes > MIB)).toBe(true);
  one.transport.send(NodeId(2), [heartbeat]);
  await one.seen.until(() => stuffed.read.length === taken + 1);
  expect(one.seen.peers).toHaveLength(2);
});

test("a snapshot into a black hole is given up in the time of the keepalive", async () => {
  const [one, two] = [await node(1, { limits: { snapshotBytesPerSecond: 1 << 18 } }), await node(2)];
  const passage = await Passage.to(two.transport.address);
  onTestFinished(async () => await passage[Symbol.asyncDispose]());
  one.transport.setPeers([{ ...at(2, two), address: passage.address }]);
  await one.seen.until(() => one.seen.saw("connected"));
  const snapshot = captured({ graph: body(8 * MIB) });
  const transfer = one.transport.sendSnapshot(NodeId(2), announce(), snapshot);
  await two.seen.until(() => has(two.events, { kind: "snapshotProgress", direction: "in" }));
  const lostMs = performance.now();
  const givenUp = passage.lose();
  expect(await transfer).toBe(false);
  await givenUp;
  expect(performance.now() - lostMs).toBeLessThan(KEEPALIVE.everyMs + KEEPALIVE.answerWithinMs + SLACK_MS);
});

test("a snapshot for a peer that reads nothing is given up after the silence that is allowed", async () => {
  const one = await node(1, { limits: { snapshotSilenceMs: 300 } });
  const stuffed = await StuffedPeer.open("secret");
  onTestFinished(async () => await stuffed[Symbol.asyncDispose]());
  one.transport.setPeers([{ node: NodeId(2), address: stuffed.address, incarnation: null }]);
  await one.seen.until(() => one.seen.saw("connected"));
  const snapshot = captured({ graph: body(MIB) });
  expect(await one.transport.sendSnapshot(NodeId(2), announce(), snapshot)).toBe(false);
  const why = "the other side said nothing for 300 ms";
  expect(has(one.events, { kind: "snapshotEnded", direction: "out", ok: false, why })).toBe(true);
  // Its messages go on another connection, which nobody gave up.
  expect(one.seen.peers.map(({ state }) => state)).toEqual(["connected"]);
});
