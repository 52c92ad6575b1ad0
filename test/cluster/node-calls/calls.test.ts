import { Client, credentials, Server, type ServerDuplexStream } from "@grpc/grpc-js";
import { afterEach, describe, expect, test } from "vitest";
import { ApiError } from "../../../src/api/errors.ts";
import { NodeCallsClient } from "../../../src/cluster/node-calls/client.ts";
import type { NodeCallHandlers } from "../../../src/cluster/node-calls/contract.ts";
import { NodeCallsServer, type NodeCallsServerOptions } from "../../../src/cluster/node-calls/server.ts";
import { STREAM } from "../../../src/cluster/node-calls/wire.ts";
import { LogIndex, Term } from "../../../shards/index.ts";
import { Events, listen, ManualTimers, NO_HANDLERS, proofOf } from "./support.ts";

const cleanUp: (() => void)[] = [];
afterEach(() => {
  for (const undo of cleanUp.splice(0).reverse()) undo();
});

interface Setting {
  readonly handlers?: Partial<NodeCallHandlers>;
  readonly server?: NodeCallsServerOptions;
  readonly client?: { readonly callsMax?: number; readonly bytesMax?: number };
  readonly secrets?: readonly [string, string];
}

/** Node 1 asks node 2. Time stands still unless the test moves it. */
async function setUp({ handlers = {}, server = {}, client = {}, secrets = ["s", "s"] }: Setting = {}) {
  const timers = new ManualTimers();
  const events = new Events();
  const grpc = new Server();
  const serving = new NodeCallsServer(server, {
    proof: proofOf(2, secrets[1]),
    handlers: { ...NO_HANDLERS, ...handlers },
    timers,
    onEvent: events.add,
  });
  serving.addTo(grpc);
  const address = await listen(grpc);
  const calls = new NodeCallsClient(
    { nodeId: 1, ...client },
    { proof: proofOf(1, secrets[0]), timers, random: () => 1, onEvent: events.add },
  );
  calls.setNodes([{ nodeId: 2, ...address }]);
  cleanUp.push(
    () => calls[Symbol.dispose](),
    () => grpc.forceShutdown(),
  );
  return { timers, events, grpc, serving, calls, address };
}
const patient = () => ({ timeoutMs: 10_000, signal: new AbortController().signal });
const proposal = (data: Uint8Array) =>
  ({ group: 5, data, wait: "applied", timeoutMs: 1_000, caller: null, adds: true }) as const;

describe("what is carried", () => {
  test("bytes, vectors and who asks arrive as they were, however large", async () => {
    const data = new Uint8Array(5 << 20).map((_, at) => at % 251);
    let seen: { readonly data: Uint8Array; readonly from: number } | null = null;
    const vector = new Float32Array([1.5, -0, 3e-39]);
    const { calls } = await setUp({
      handlers: {
        propose: (request, { from }) => {
          seen = { data: request.data, from };
          return Promise.resolve({ kind: "committed", term: Term(3), index: LogIndex(2 ** 40) });
        },
        retrieve: ({ ids }) =>
          Promise.resolve({
            kind: "answer",
            answer: ids.map((id) => ({ id, version: 1, payload: { a: [1, null, "ü"] }, vector })),
          }),
      },
    });
    const outcome = await calls.call(2, "propose", proposal(data), patient());
    expect(outcome).toEqual({ kind: "committed", term: 3, index: 2 ** 40 });
    expect(seen).toMatchObject({ from: 1 });
    expect(Buffer.compare(seen!.data, data)).toBe(0);
    const read = { group: 5, level: "eventual", atLeast: null, caller: null } as const;
    const shape = { withPayload: { kind: "all" }, withVector: true } as const;
    const found = await calls.call(2, "retrieve", { ...read, ...shape, ids: [7, "x"] }, patient());
    expect(found).toEqual({
      kind: "answer",
      answer: [7, "x"].map((id) => ({ id, version: 1, payload: { a: [1, null, "ü"] }, vector })),
    });
  });

  test("an ApiError keeps its code, message and details; another error its code", async () => {
    const details = { retryAfter: 1, shard: 3 };
    const { calls } = await setUp({
      handlers: {
        count: () => Promise.reject(new ApiError("NO_LEADER", "nobody leads", details)),
        node: () => Promise.reject(Object.assign(new Error("gone"), { code: "THREAD_GONE" })),
      },
    });
    const read = { group: 1, level: "leader", atLeast: null, caller: null } as const;
    const thrown: unknown = await calls.call(2, "count", read, patient()).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(ApiError);
    expect(thrown).toMatchObject({ code: "NO_LEADER", message: "nobody leads", details });
    await expect(calls.call(2, "node", {}, patient())).rejects.toMatchObject({
      name: "NodeCallError",
      code: "THREAD_GONE",
    });
  });

  test("many calls share the stream, each with its own answer, in whatever order they come", async () => {
    const answers: (() => void)[] = [];
    const { calls } = await setUp({
      handlers: {
        count: ({ group }) =>
          new Promise((resolve) => {
            answers.unshift(() => resolve({ kind: "answer", answer: group * 10 }));
            if (answers.length === 50) for (const answer of answers) answer();
          }),
      },
    });
    const asked = Array.from({ length: 50 }, (_, group) =>
      calls.call(2, "count", { group, level: "eventual", atLeast: null, caller: null }, patient()),
    );
    const got = await Promise.all(asked);
    expect(got).toEqual(got.map((_, group) => ({ kind: "answer", answer: group * 10 })));
  });
});

describe("how a call ends without an answer", () => {
  const hanging = (entered: () => void): Partial<NodeCallHandlers> => ({
    node: (_, { signal }) => {
      entered();
      return new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(new Error("told to stop")), { once: true });
      });
    },
  });

  test("a refused connection says that nothing was sent, at once while the link is down", async () => {
    const { calls, grpc, events, timers } = await setUp();
    await events.until((event) => event.kind === "connected" && event.side === "dialled");
    grpc.forceShutdown();
    await events.until((event) => event.kind === "disconnected" && event.side === "dialled");
    const refused = { code: "UNREACHABLE", sent: false, node: 2 };
    await expect(calls.call(2, "node", {}, patient())).rejects.toMatchObject(refused);
    timers.advance(50);
    expect(calls.stateOf(2)).toBe("dialling");
    await expect(calls.call(2, "node", {}, patient())).rejects.toMatchObject(refused);
    expect(calls.stateOf(2)).toBe("down");
  });

  test("a connection that breaks after the call was sent says so, and the handler is told", async () => {
    let enter: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => (enter = resolve));
    const { calls, serving, events } = await setUp({ handlers: hanging(() => enter()) });
    const call = calls.call(2, "node", {}, patient());
    await entered;
    serving[Symbol.dispose]();
    await expect(call).rejects.toMatchObject({ code: "UNREACHABLE", sent: true });
    await events.until((event) => event.kind === "disconnected" && event.side === "accepted");
  });

  test("after a break the stream is dialled again, and later calls are answered", async () => {
    const { calls, serving, grpc, events, timers, address } = await setUp();
    await events.until((event) => event.kind === "connected" && event.side === "dialled");
    serving[Symbol.dispose]();
    await events.until((event) => event.kind === "disconnected" && event.side === "dialled");
    grpc.forceShutdown();
    const again = new Server();
    new NodeCallsServer(
      {},
      {
        proof: proofOf(2, "s"),
        handlers: {
          ...NO_HANDLERS,
          count: () => Promise.resolve({ kind: "answer", answer: 4 }),
        },
      },
    ).addTo(again);
    await listen(again, Number(address.grpc.split(":")[1]));
    cleanUp.push(() => again.forceShutdown());
    events.seen.length = 0;
    timers.advance(50);
    await events.until((event) => event.kind === "connected" && event.side === "dialled");
    const read = { group: 1, level: "leader", atLeast: null, caller: null } as const;
    expect(await calls.call(2, "count", read, patient())).toEqual({ kind: "answer", answer: 4 });
  });

  test("the deadline is carried over: the caller stops waiting and the handler is told", async () => {
    let enter: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => (enter = resolve));
    let told: () => void = () => undefined;
    const stopped = new Promise<void>((resolve) => (told = resolve));
    const { calls, timers } = await setUp({
      handlers: {
        node: (_, { signal }) => {
          signal.addEventListener("abort", () => told(), { once: true });
          enter();
          return new Promise(() => undefined);
        },
      },
    });
    const call = calls.call(2, "node", {}, { ...patient(), timeoutMs: 500 });
    await entered;
    timers.advance(500);
    await expect(call).rejects.toMatchObject({ code: "DEADLINE", sent: true });
    await stopped;
  });

  test("an abort is carried over; with grace the handler's own answer still counts", async () => {
    let enter: () => void = () => undefined;
    const entered = new Promise<void>((resolve) => (enter = resolve));
    const { calls } = await setUp({
      handlers: {
        propose: (_, { signal }) => {
          enter();
          return new Promise((resolve) => {
            const unknown = { kind: "unknown", term: Term(1), index: LogIndex(9), why: "aborted" } as const;
            signal.addEventListener("abort", () => resolve(unknown), { once: true });
          });
        },
      },
    });
    const stop = new AbortController();
    const options = { timeoutMs: 10_000, signal: stop.signal, graceMs: 100 };
    const call = calls.call(2, "propose", proposal(new Uint8Array(1)), options);
    await entered;
    stop.abort(new Error("enough"));
    expect(await call).toEqual({ kind: "unknown", term: 1, index: 9, why: "aborted" });
    await expect(calls.call(2, "node", {}, options)).rejects.toMatchObject({ code: "ABORTED", sent: false });
  });

  test("more calls, or more bytes, than are allowed are refused on either side", async () => {
    const entered: (() => void)[] = [];
    const wait = (): Promise<void> => new Promise((resolve) => entered.push(resolve));
    const first = wait();
    const near = await setUp({
      client: { callsMax: 1 },
      handlers: hanging(() => entered.shift()?.()),
    });
    const held = near.calls.call(2, "node", {}, patient());
    held.catch(() => undefined);
    await first;
    await expect(near.calls.call(2, "node", {}, patient())).rejects.toMatchObject({
      code: "OVERLOADED",
      sent: false,
    });
    const second = wait();
    const far = await setUp({
      server: { callsMax: 1 },
      client: { bytesMax: 1_000 },
      handlers: hanging(() => entered.shift()?.()),
    });
    const alsoHeld = far.calls.call(2, "node", {}, patient());
    alsoHeld.catch(() => undefined);
    await second;
    await expect(far.calls.call(2, "node", {}, patient())).rejects.toMatchObject({
      name: "ApiError",
      code: "OVERLOADED",
    });
    const large = proposal(new Uint8Array(1_000));
    await expect(far.calls.call(2, "propose", large, patient())).rejects.toMatchObject({
      code: "OVERLOADED",
      sent: false,
    });
  });
});

describe("whom it talks to", () => {
  test("who does not know the secret is refused on both sides, and no call is sent", async () => {
    const { calls, events } = await setUp({ secrets: ["mine", "another"] });
    await expect(calls.call(2, "node", {}, patient())).rejects.toMatchObject({
      code: "UNREACHABLE",
      sent: false,
    });
    expect(await events.until(({ kind }) => kind === "refused")).toMatchObject({ node: 2 });
  });

  test("a node that answers at another's address is refused", async () => {
    const { calls, address } = await setUp();
    calls.setNodes([{ nodeId: 3, ...address }]);
    await expect(calls.call(3, "node", {}, patient())).rejects.toThrow("node 2 answers where node 3 should");
    await expect(calls.call(2, "node", {}, patient())).rejects.toThrow("not known here");
  });

  test("an address that is missing or makes no sense keeps only its own node from being reached", async () => {
    const { calls, address } = await setUp({
      handlers: { count: () => Promise.resolve({ kind: "answer", answer: 1 }) },
    });
    const bad = ["", "a b", "127.0.0.1:99999", "unknown://"];
    calls.setNodes([{ nodeId: 2, ...address }, ...bad.map((grpc, at) => ({ nodeId: at + 3, grpc }))]);
    for (const at of bad.keys()) {
      await expect(calls.call(at + 3, "node", {}, patient())).rejects.toMatchObject({
        code: "UNREACHABLE",
        sent: false,
      });
    }
    const read = { group: 1, level: "leader", atLeast: null, caller: null } as const;
    expect(await calls.call(2, "count", read, patient())).toEqual({ kind: "answer", answer: 1 });
  });

  test("bytes that are no frame close the stream, with an event", async () => {
    const { events, address } = await setUp();
    const client = new Client(address.grpc, credentials.createInsecure());
    const stream = client.makeBidiStreamRequest<Buffer, Buffer>(
      STREAM.path,
      STREAM.requestSerialize,
      STREAM.responseDeserialize,
    );
    const proof = proofOf(9, "s").dial(2);
    const closed = new Promise<Error>((resolve) => stream.on("error", resolve));
    const messages: Buffer[] = [];
    stream.on("data", (message: Buffer) => {
      messages.push(message);
      if (messages.length === 1) stream.write(Buffer.from(proof.answer(message)));
      else stream.write(Buffer.from([0xc1, 0xff, 0x93]));
    });
    stream.write(Buffer.from(proof.hello));
    expect(await events.until(({ kind }) => kind === "badFrame")).toMatchObject({ node: 9 });
    expect((await closed).message).toContain("frame");
    client.close();
  });

  test("an answer that makes no sense closes the stream on the caller's side", async () => {
    const events = new Events();
    const grpc = new Server();
    const accepting = proofOf(2, "s").accept();
    let step = 0;
    grpc.addService(
      { Stream: STREAM },
      {
        Stream: (stream: ServerDuplexStream<Buffer, Buffer>) => {
          stream.on("data", (message: Buffer) => {
            if (step++ === 0) stream.write(Buffer.from(accepting.challenge(message)));
            else stream.write(step === 2 ? Buffer.alloc(0) : Buffer.from([0x91, 0x07]));
          });
        },
      },
    );
    const address = await listen(grpc);
    const calls = new NodeCallsClient(
      { nodeId: 1 },
      { proof: proofOf(1, "s"), timers: new ManualTimers(), onEvent: events.add },
    );
    cleanUp.push(
      () => calls[Symbol.dispose](),
      () => grpc.forceShutdown(),
    );
    calls.setNodes([{ nodeId: 2, ...address }]);
    await expect(calls.call(2, "node", {}, patient())).rejects.toMatchObject({
      code: "UNREACHABLE",
      sent: true,
    });
    expect(events.seen.map(({ kind }) => kind)).toEqual(["connected", "badFrame", "disconnected"]);
  });

  test("a request that is not one of its method is refused by itself; the stream goes on", async () => {
    const { calls } = await setUp({
      handlers: { count: () => Promise.resolve({ kind: "answer", answer: 1 }) },
    });
    const read = { group: 1, level: "leader", atLeast: null, caller: null } as const;
    await expect(calls.call(2, "count", { ...read, group: -1 }, patient())).rejects.toMatchObject({
      code: "BAD_CALL",
    });
    expect(await calls.call(2, "count", read, patient())).toEqual({ kind: "answer", answer: 1 });
  });
});
