/** UpsertStream: answers in order, what a failure leaves behind, and a client that is faster than the writes. */
import { once } from "node:events";
import { Duplex } from "node:stream";
import { describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { serveStream } from "../../src/grpc/stream.ts";
import { ended, startGrpc, type Grpc } from "../support/grpc.ts";

const C = { collection: "c" };

async function started(dimension = 2): Promise<Grpc> {
  const grpc = await startGrpc();
  await grpc.call("Collections/Create", { ...C, dimension, distance: "DISTANCE_DOT" });
  return grpc;
}

const batch = (num: number, vector: readonly number[] = [1, num]) => ({
  ...C,
  points: [{ id: { num }, vector }],
});

function open(grpc: Grpc) {
  const stream = grpc.client.stream("Points/UpsertStream");
  const answers: unknown[] = [];
  const waiting: (() => void)[] = [];
  stream.on("data", (answer) => {
    answers.push(answer);
    for (const told of waiting.splice(0)) told();
  });
  const answered = async (count: number): Promise<void> => {
    while (answers.length < count) await new Promise<void>((resolve) => waiting.push(resolve));
  };
  return { stream, answers, answered, end: ended(stream) };
}

const count = async (grpc: Grpc): Promise<unknown> => (await grpc.call("Points/Count", C)).answer["count"];

test("each message is answered with its number and its place in the log, then the stream ends well", async () => {
  await using grpc = await started();
  const { stream, answers, end } = open(grpc);
  for (let num = 1; num <= 30; num++) stream.write(batch(num));
  stream.end();
  expect(await end).toMatchObject({ code: "OK" });
  expect(answers).toEqual(
    Array.from({ length: 30 }, (_, at) => ({ message: at + 1, indexes: [{ index: at + 1 }] })),
  );
  expect(await count(grpc)).toBe(30);
  expect(grpc.observed.filter(({ route }) => route.endsWith("UpsertStream"))).toHaveLength(30);
});

test("a stream without a message is no error", async () => {
  await using grpc = await started();
  const { stream, answers, end } = open(grpc);
  stream.end();
  expect(await end).toMatchObject({ code: "OK" });
  expect(answers).toEqual([]);
});

test("the first failure ends it: what was answered is written, what comes after it is not", async () => {
  await using grpc = await started();
  const { stream, answers, end } = open(grpc);
  for (const num of [1, 2]) stream.write(batch(num));
  stream.write(batch(3, [1, 2, 3]));
  for (const num of [4, 5]) stream.write(batch(num));
  stream.end();
  expect(await end).toMatchObject({
    code: "INVALID_ARGUMENT",
    details: "Wrong input: Vector dimension error: expected dim: 2, got 3 in `points[0].vector` (id 3)",
    metadata: { "flotilla-code": "INVALID" },
  });
  expect(answers).toEqual([
    { message: 1, indexes: [{ index: 1 }] },
    { message: 2, indexes: [{ index: 2 }] },
  ]);
  expect(await count(grpc)).toBe(2);
});

test("a failure of the cluster is the answer to the message it happened to", async () => {
  await using grpc = await started();
  const { stream, answers, answered, end } = open(grpc);
  stream.write(batch(1));
  await answered(1);
  const leader = { nodeId: 2, http: "b:6333", grpc: "b:6334", term: 7 };
  grpc.cluster.failNext(new ApiError("NOT_LEADER", "Not the leader: node 2 leads", { leader, shard: 0 }));
  stream.write(batch(2));
  expect(await end).toMatchObject({
    code: "UNAVAILABLE",
    metadata: { "flotilla-leader-id": "2", "flotilla-leader-grpc": "b:6334", "flotilla-term": "7" },
  });
  expect(answers).toHaveLength(1);
});

describe("a client that is faster than the writes", () => {
  test("has one message taken from it besides the one in work", async () => {
    const source = new Source(10);
    let pulledMost = 0;
    const carryOut = async (message: Buffer, number: number): Promise<Buffer> => {
      // Everything that would be read ahead is, by now.
      for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
      pulledMost = Math.max(pulledMost, source.pulled - (number - 1));
      return message;
    };
    await serveStream(source, new AbortController().signal, carryOut);
    expect(pulledMost).toBe(2);
    expect(source.answers).toBe(10);
  });

  test("waits with what it has to send", async () => {
    // 1 MiB each, many times what HTTP/2 and the sockets hold between client and server.
    const dimension = 256 * 1024;
    await using grpc = await startGrpc({ limits: { dimension } });
    await grpc.call("Collections/Create", { ...C, dimension, distance: "DISTANCE_DOT" });
    const { release, arrived } = grpc.cluster.hold();
    const { stream, answered, end } = open(grpc);
    const vector = Array.from({ length: dimension }, () => 0.5);
    let sent = 0;
    const total = 12;
    for (let num = 1; num <= total; num++) stream.write(batch(num, vector), () => void sent++);
    stream.end();
    await arrived;
    expect(sent).toBeLessThan(total);
    release();
    await answered(total);
    expect(await end).toMatchObject({ code: "OK" });
    expect(sent).toBe(total);
    expect(await count(grpc)).toBe(total);
  });
});

/** A call whose client has so many messages ready, and counts how many were taken. */
class Source extends Duplex {
  readonly cancelled = false;
  pulled = 0;
  answers = 0;
  readonly #messages: number;

  constructor(messages: number) {
    super({ objectMode: true });
    this.#messages = messages;
  }
  override _read(): void {
    this.push(this.pulled < this.#messages ? Buffer.of(++this.pulled) : null);
  }
  override _write(_answer: Buffer, _encoding: string, done: () => void): void {
    this.answers++;
    done();
  }
}

test("a client that leaves ends the waiting of the write in work, and nothing after it is begun", async () => {
  await using grpc = await started();
  const { release, arrived } = grpc.cluster.hold();
  const { stream, end } = open(grpc);
  for (const num of [1, 2, 3]) stream.write(batch(num));
  const signal = await arrived;
  const aborted = once(signal, "abort");
  stream.cancel();
  await aborted;
  expect((await end).code).toBe("CANCELLED");
  expect(signal.reason).toMatchObject({ code: "DEADLINE_EXCEEDED", message: "The client went away" });
  release();
  // The one in work was proposed already.
  expect(await count(grpc)).toBe(1);
});

test("stopping finishes the message in work, answers it, and says why it ends; an idle stream ends at once", async () => {
  await using grpc = await started();
  const idle = open(grpc);
  idle.stream.write(batch(1));
  await idle.answered(1);
  const busy = open(grpc);
  const { release, arrived } = grpc.cluster.hold();
  busy.stream.write(batch(2));
  busy.stream.write(batch(3));
  await arrived;
  grpc.api[Symbol.dispose]();
  const stopped = { code: "UNAVAILABLE", metadata: { "flotilla-code": "NOT_READY", "retry-after": "1" } };
  expect(await idle.end).toMatchObject(stopped);
  release();
  expect(await busy.end).toMatchObject(stopped);
  expect(busy.answers).toEqual([{ message: 1, indexes: [{ index: 2 }] }]);
  expect(await grpc.call("Points/Count", C)).toMatchObject(stopped);
});
