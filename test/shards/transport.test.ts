import { connect } from "node:net";
import { readdirSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { callPeer } from "../../shards/adapters.ts";
import { NodeId } from "../../shards/index.ts";
import type { GroupMessage } from "../../shards/index.ts";
import { Loopback } from "./support/loopback.ts";
import { announce, body, captured } from "./support/snapshots.ts";
import { at, has, heartbeat, node, proposal } from "./support/transport-node.ts";
import { transportConformance } from "./transport-conformance.ts";

describe("conformance", () => {
  transportConformance({
    name: "loopback",
    open: async (one, two) => {
      const net = new Loopback();
      const transports = [net.transport(NodeId(1)), net.transport(NodeId(2))] as const;
      transports[0].start(one);
      transports[1].start(two);
      net.cut(NodeId(1), NodeId(9));
      return { one: transports[0], two: transports[1], deliver: () => void net.pump() };
    },
  });
  transportConformance({
    name: "grpc",
    open: async (one, two) => {
      const [a, b] = [await node(1, { seen: one }), await node(2, { seen: two })];
      a.transport.setPeers([at(2, b, "incarnation-2")]);
      b.transport.setPeers([at(1, a)]);
      await one.until(() => one.saw("connected"));
      await two.until(() => two.saw("connected"));
      return { one: a.transport, two: b.transport, deliver: () => undefined };
    },
  });
});

test("a peer that dies is reported lost, then refused; when it returns at its address, connected", async () => {
  const [one, two] = [await node(1), await node(2)];
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => one.seen.saw("connected"));
  await two.transport[Symbol.asyncDispose]();
  await one.seen.until(() => one.seen.saw("refused"));
  expect(one.seen.peers.slice(0, 3).map(({ state }) => state)).toEqual(["connected", "lost", "refused"]);
  one.transport.send(NodeId(2), [heartbeat]);
  expect(has(one.events, { kind: "messagesDropped", why: "disconnected", count: 1 })).toBe(true);
  const again = await node(2, { address: two.transport.address });
  await one.seen.until(() => one.seen.peers.at(-1)?.state === "connected");
  one.transport.send(NodeId(2), [heartbeat]);
  await again.seen.until(() => again.seen.all.length === 1);
  expect(again.seen.all).toEqual([heartbeat]);
});

test.each([
  ["cluster", { cluster: "another" }, 2, null],
  ["receiver", {}, 3, null],
  ["incarnation", {}, 2, "before it was wiped"],
] as const)("another %s is refused on both sides with the reason", async (why, options, id, incarnation) => {
  const [one, two] = [await node(1, options), await node(2)];
  one.transport.setPeers([at(id, two, incarnation)]);
  await one.seen.until(() => has(one.events, { kind: "refusedByPeer" }));
  await two.seen.until(() => has(two.events, { kind: "refusedPeer", why }));
  expect(one.seen.saw("connected")).toBe(false);
  one.transport.send(NodeId(id), [heartbeat]);
  expect(two.seen.all).toEqual([]);
});

test("who knows another secret is not spoken to, nor is he answered", async () => {
  const [one, two] = [await node(1, { secret: "another" }), await node(2)];
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => has(one.events, { kind: "refusedByPeer" }));
  expect(one.seen.saw("connected")).toBe(false);
  const options = { secret: "another", timeoutMs: 5_000 };
  await expect(callPeer(two.transport.address, "echo", body(3), options)).rejects.toMatchObject({
    kind: "denied",
  });
});

test("a node without identity answers calls, and many of them, but takes no streams", async () => {
  const [one, two] = [await node(1), await node(null)];
  const options = { secret: "secret", timeoutMs: 5_000 };
  const address = two.transport.address;
  expect(await callPeer(address, "echo", Uint8Array.of(1, 2, 3), options)).toEqual(Uint8Array.of(3, 2, 1));
  await expect(callPeer(address, "fail", body(3), options)).rejects.toThrow("it cannot be done");
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => one.seen.saw("unreachable"));
  await two.seen.until(() => has(two.events, { kind: "refusedPeer", why: "notReady" }));
  expect(one.seen.saw("connected")).toBe(false);
});

test("a call that is over gives its place back: more calls than there are places", async () => {
  const two = await node(2);
  const options = { secret: "secret", timeoutMs: 20_000 };
  let answered = 0;
  for (let round = 0; round < 26; round++) {
    const calls = Array.from({ length: 40 }, () =>
      callPeer(two.transport.address, "echo", Uint8Array.of(round), options),
    );
    for (const answer of await Promise.all(calls)) answered += answer[0] === round ? 1 : 0;
  }
  expect(answered).toBe(1_040);
});

test("a peer that moved is dialled where it says it is, and repeating the old address does not undo it", async () => {
  const [one, gone, moved] = [await node(1), await node(null), await node(2)];
  const old = at(2, gone);
  await gone.transport[Symbol.asyncDispose]();
  one.transport.setPeers([old]);
  await one.seen.until(() => one.seen.saw("refused"));
  moved.transport.setPeers([at(1, one)]);
  await one.seen.until(() => one.seen.saw("connected"));
  expect(has(one.events, { kind: "peerAddress", node: 2, address: moved.transport.address })).toBe(true);
  const before = one.seen.peers.length;
  one.transport.setPeers([old]);
  one.transport.send(NodeId(2), [heartbeat]);
  await moved.seen.until(() => moved.seen.all.length === 1);
  expect(one.seen.peers).toHaveLength(before);
});

test("messages beyond the queue are dropped and counted; big ones go in several frames", async () => {
  const limits = { queueBytesMax: 4 << 20, frameBytes: 1 << 20 };
  const [one, two] = [await node(1, { limits }), await node(2)];
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => one.seen.saw("connected"));
  const big = proposal(1 << 20);
  // In one turn nothing leaves, so what is over the limit is known exactly.
  one.transport.send(NodeId(2), Array<GroupMessage>(10).fill(big));
  const dropped = one.events.reduce(
    (sum, event) => sum + (event.kind === "messagesDropped" && event.why === "queueFull" ? event.count : 0),
    0,
  );
  expect(dropped).toBeGreaterThanOrEqual(6);
  await two.seen.until(() => two.seen.all.length === 10 - dropped);
  expect(two.seen.batches).toHaveLength(10 - dropped);
});

test("heartbeats pass while a snapshot is under way", async () => {
  // A rate at which the snapshot could not end in the time of this test.
  const [one, two] = [await node(1, { limits: { snapshotBytesPerSecond: 1 << 18 } }), await node(2)];
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => one.seen.saw("connected"));
  const transfer = one.transport.sendSnapshot(
    NodeId(2),
    announce(),
    captured({ graph: new Uint8Array(8 << 20) }),
  );
  await two.seen.until(() => has(two.events, { kind: "snapshotProgress", direction: "in" }));
  one.transport.send(NodeId(2), [heartbeat]);
  await two.seen.until(() => two.seen.all.length === 1);
  expect(two.seen.snapshots).toEqual([]);
  await two.transport[Symbol.asyncDispose]();
  expect(await transfer).toBe(false);
  expect(readdirSync(two.staging)).toHaveLength(1);
});

test("garbage on the port harms nobody", async () => {
  const [one, two] = [await node(1), await node(2)];
  one.transport.setPeers([at(2, two)]);
  await one.seen.until(() => one.seen.saw("connected"));
  const [host, port] = two.transport.address.split(":");
  const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
  for (let seed = 1; seed <= 60; seed++) {
    const noise = body(1 + ((seed * 131) % 3_000), seed);
    await new Promise<void>((resolve) => {
      const socket = connect(Number(port), host);
      socket.on("error", () => undefined);
      socket.on("close", () => resolve());
      socket.resume();
      socket.end(seed % 2 === 0 ? noise : Buffer.concat([preface, noise]));
    });
  }
  one.transport.send(NodeId(2), [heartbeat]);
  await two.seen.until(() => two.seen.all.length === 1);
  expect(one.seen.peers.map(({ state }) => state)).toEqual(["connected"]);
});
