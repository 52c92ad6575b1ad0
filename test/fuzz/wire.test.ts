/** The gRPC port and the peer port under what no client and no member of the cluster would send. */
import { Client, credentials, status } from "@grpc/grpc-js";
import { connect, type Socket } from "node:net";
import { once } from "node:events";
import { afterAll, beforeAll, expect, test } from "vitest";
import { diceOf, oneOf, type Dice } from "../e2e/cluster/support/dice.ts";
import { NodeProcess } from "../e2e/support/node-process.ts";
import { LONG, rounds, within } from "./support/rounds.ts";
import { ANSWER_WITHIN_MS, Subject } from "./support/subject.ts";
import {
  callOf,
  CONNECTIONS,
  endsCall,
  grpcMessage,
  peerMessage,
  protobufMessage,
} from "./support/wire-attacks.ts";

const PEER_PATH = "/flotilla.v1.Peers/Stream";
const GRPC_PATHS = [
  "/flotilla.v1.Points/Search",
  "/flotilla.v1.Points/Upsert",
  "/flotilla.v1.Points/UpsertStream",
  "/flotilla.v1.Collections/Create",
  "/grpc.health.v1.Health/Check",
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
  "/nobody.Knows/This",
];
/** The reflection library leaves a stream open that breaks off behind two messages, until its connection ends. */
const ENDING_PATHS = GRPC_PATHS.filter((path) => !path.startsWith("/grpc.reflection"));
/**
 * Until V8's heaps and the allocator have what a wave needs at its worst: some 20 waves and 120 MiB, after which 100
 * more add nothing. The short form sees few of them, and allows for what they take.
 */
const WARM_UP_WAVES = LONG ? 25 : 1;
const SOCKETS = 30;
const CALLS = 40;
/** Longer than the peer port waits for a handshake. */
const ENDED_WITHIN_MS = 15_000;

let subject: Subject;
beforeAll(async () => {
  subject = await Subject.start();
});
afterAll(() => subject[Symbol.asyncDispose]());

type Port = "grpc" | "peer";

/** Open and silent after what it sent; the caller destroys it. */
async function opened(port: Port, bytes: Buffer): Promise<Socket> {
  const socket = connect(subject.port(port), "127.0.0.1");
  // The other side may well reset it: that is its right.
  socket.on("error", () => socket.destroy());
  socket.resume();
  await once(socket, "connect");
  socket.write(bytes);
  return socket;
}

/** Resolves once the call has ended by the other side's word, or its connection has. */
async function ended(port: Port, bytes: Buffer): Promise<void> {
  await new Promise<void>((resolve) => {
    const socket = connect(subject.port(port), "127.0.0.1", () => socket.write(bytes));
    let received = Buffer.alloc(0);
    socket.on("data", (chunk: Buffer) => {
      received = Buffer.concat([received, chunk]);
      if (endsCall(received)) socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.on("close", () => resolve());
  });
}

/** Calls with broken messages: each must be ended by the node, whether or not it is by the caller. */
async function brokenCalls(port: Port, dice: Dice): Promise<void> {
  await Promise.all(
    Array.from({ length: CALLS }, async () => {
      const path = port === "peer" && dice(5) > 0 ? PEER_PATH : oneOf(dice, ENDING_PATHS);
      const make = port === "peer" ? peerMessage : protobufMessage;
      const bytes = Array.from({ length: 1 + dice(3) }, () => grpcMessage(dice, make(dice)));
      // The peer port ends what does not greet; a client's stream may stay open as long as it likes.
      const ends = path !== PEER_PATH || dice(2) === 0;
      const what = `a call of ${path} with ${Buffer.concat(bytes).subarray(0, 1_000).toString("hex")}`;
      await within(ENDED_WITHIN_MS, `the end of ${what}`, ended(port, callOf(path, bytes, ends)));
    }),
  );
}

const same = (bytes: Buffer): Buffer => bytes;

/** A new connection and a call that is well-formed, to a method that nobody has. */
async function answers(port: Port): Promise<void> {
  const client = new Client(`127.0.0.1:${subject.port(port)}`, credentials.createInsecure());
  try {
    const code = new Promise<number>((resolve) => {
      client.makeUnaryRequest("/nobody.Knows/This", same, same, Buffer.alloc(0), (error) => {
        resolve(error?.code ?? status.OK);
      });
    });
    expect([port, await within(ANSWER_WITHIN_MS, `an answer of ${port}`, code)]).toEqual([
      port,
      status.UNIMPLEMENTED,
    ]);
  } finally {
    client.close();
  }
}

async function wave(seed: number): Promise<void> {
  const dice = diceOf(seed);
  const sockets: Socket[] = [];
  try {
    for (const port of ["grpc", "peer"] as const) {
      const path = port === "peer" ? PEER_PATH : oneOf(dice, GRPC_PATHS);
      for (let at = 0; at < SOCKETS; at++) {
        const bytes = (CONNECTIONS[at % CONNECTIONS.length] ?? oneOf(dice, CONNECTIONS))(dice, path);
        const cut = dice(4) === 0 ? bytes.subarray(0, dice(bytes.length + 1)) : bytes;
        const socket = await opened(port, cut);
        if (dice(4) === 0) socket.end();
        sockets.push(socket);
      }
    }
    await Promise.all([brokenCalls("grpc", dice), brokenCalls("peer", dice)]);
    // Slow loris: what is left open gets a byte now and then, while others are served.
    for (const socket of sockets) if (socket.writable) socket.write(Buffer.of(dice(256)));
    await answers("grpc");
    await answers("peer");
    await subject.check();
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

test(
  "strangers' bytes on the gRPC and the peer port change nothing, and leave nothing behind",
  async () => {
    for (let warm = 0; warm < WARM_UP_WAVES; warm++) await wave(-warm);
    await subject.remember();
    // A wave takes as long as the peer port waits for those who do not greet it.
    await rounds({ shortMs: 1, longMs: 240_000 }, wave);
    await subject.checkHeld();
  },
  LONG ? 500_000 : 120_000,
);

test("many half-open connections at once hold little, and go when their other ends do", async () => {
  const before = subject.held();
  const sockets: Socket[] = [];
  for (let at = 0; at < 300; at++)
    sockets.push(
      await opened(at % 2 === 0 ? "grpc" : "peer", Buffer.from("PRI * HTTP/2.0\r\n").subarray(0, at % 16)),
    );
  await answers("grpc");
  await answers("peer");
  await subject.check();
  expect(subject.held().sockets).toBeGreaterThan(before.sockets);
  expect(subject.held().rssMiB - before.rssMiB).toBeLessThan(64);
  for (const socket of sockets) socket.destroy();
  await subject.checkHeld();
}, 60_000);

test("after all of it another node joins, and holds what the first one does", async () => {
  const peer = `127.0.0.1:${subject.port("peer")}`;
  await using second = await NodeProcess.start({ args: ["--join", peer] });
  const scroll = await fetch(`${second.url}/collections/kept/points/count?consistency=linearizable`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: "{}",
  });
  expect(await scroll.json()).toMatchObject({ result: { count: 50 } });
});
