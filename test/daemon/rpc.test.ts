import { once } from "node:events";
import { MessageChannel, Worker } from "node:worker_threads";
import { afterEach, describe, expect, test } from "vitest";
import { Rpc, ThreadError, type Handlers } from "../../src/threads/rpc.ts";

type Left = Readonly<Record<never, never>>;
type Right = {
  readonly double: { readonly request: number; readonly reply: number };
  readonly later: { readonly request: string; readonly reply: string };
  readonly hang: { readonly request: null; readonly reply: string };
  readonly sum: { readonly request: Float32Array; readonly reply: Float32Array };
  readonly fail: { readonly request: string; readonly reply: void };
  readonly note: { readonly request: number; readonly reply: void };
};

const open: Disposable[] = [];
afterEach(() => {
  for (const endpoint of open.splice(0)) endpoint[Symbol.dispose]();
});

function pair(handlers: Partial<Handlers<Right>>, callsMax = 100) {
  const { port1, port2 } = new MessageChannel();
  const unused = (): never => {
    throw new Error("not expected");
  };
  const right = new Rpc<Right, Left>(
    { peer: "the left thread", callsMax },
    {
      port: port2,
      handlers: {
        double: unused,
        later: unused,
        hang: unused,
        sum: unused,
        fail: unused,
        note: unused,
        ...handlers,
      },
    },
  );
  const left = new Rpc<Left, Right>({ peer: "the right thread", callsMax }, { port: port1, handlers: {} });
  open.push(left, right);
  return { left, right, port: port1 };
}

test("a call is answered by the other side's handler", async () => {
  const { left } = pair({ double: (n) => 2 * n, later: (text) => Promise.resolve(`${text}!`) });
  expect(await left.call("double", 21)).toBe(42);
  expect(await left.call("later", "now")).toBe("now!");
});

test("answers find their calls whatever order they come in", async () => {
  const gates = new Map<string, () => void>();
  const { left } = pair({
    later: (text) => new Promise((resolve) => gates.set(text, () => resolve(text))),
    double: (n) => n,
  });
  const calls = ["a", "b", "c"].map((text) => left.call("later", text));
  await left.call("double", 1);
  for (const text of ["c", "a", "b"]) gates.get(text)?.();
  expect(await Promise.all(calls)).toEqual(["a", "b", "c"]);
});

test("frames of one turn travel in one message", async () => {
  const { left, right } = pair({ double: (n) => 2 * n });
  await left.call("double", 0);
  let messages = 0;
  const { port1, port2 } = new MessageChannel();
  const counting = new Rpc<Left, Right>(
    { peer: "the counter", callsMax: 100 },
    { port: port1, handlers: {} },
  );
  open.push(counting);
  port2.on("message", () => messages++);
  const calls = Array.from({ length: 50 }, (_, n) => counting.call("double", n).catch(() => null));
  await once(port2, "message");
  await new Promise((resolve) => setImmediate(resolve));
  await left.call("double", 0);
  // The first one at once, the other 49 together.
  expect(messages).toBeLessThanOrEqual(2);
  counting[Symbol.dispose]();
  await Promise.all(calls);
  port2.close();
  expect(right.inFlight).toBe(0);
});

test("a buffer that is given away is empty here and whole there", async () => {
  const { left } = pair({
    sum: (vector, context) => {
      const doubled = vector.map((x) => 2 * x);
      context.transfer(doubled.buffer);
      return doubled;
    },
  });
  const vector = new Float32Array([1, 2, 3]);
  const reply = await left.call("sum", vector, { transfer: [vector.buffer] });
  expect(vector.length).toBe(0);
  expect([...reply]).toEqual([2, 4, 6]);
});

describe("errors", () => {
  test("a handler's error arrives with its code, message and details", async () => {
    const { left } = pair({
      fail: (why) => {
        throw Object.assign(new Error(why), { code: "DISK_FULL", details: { shard: 3 } });
      },
      later: () => Promise.reject(new RangeError("too far")),
    });
    await expect(left.call("fail", "no space")).rejects.toMatchObject({
      name: "ThreadError",
      code: "DISK_FULL",
      message: "no space",
      details: { shard: 3 },
    });
    await expect(left.call("later", "")).rejects.toMatchObject({ code: "RangeError", message: "too far" });
  });

  test("a call beyond the limit is refused without being sent", async () => {
    let seen = 0;
    const { left } = pair(
      { hang: () => (seen++, new Promise<string>(() => undefined)), double: (n) => n },
      3,
    );
    const hanging = [left.call("hang", null), left.call("hang", null)];
    await left.call("double", 1);
    hanging.push(left.call("hang", null));
    await expect(left.call("hang", null)).rejects.toMatchObject({
      code: "OVERLOADED",
      message: expect.stringContaining("3 calls to the right thread are unanswered"),
    });
    // What the node itself cannot do without is.
    expect(await left.call("double", 4, { essential: true })).toBe(4);
    await expect(left.call("double", 4)).rejects.toMatchObject({ code: "OVERLOADED" });
    left[Symbol.dispose]();
    const ends = await Promise.allSettled(hanging);
    expect(ends.map((end) => end.status)).toEqual(["rejected", "rejected", "rejected"]);
    expect(seen).toBe(3);
  });

  test("an unknown method is an error of the caller, not a crash", async () => {
    const { left } = pair({});
    const wide = left as Rpc<Left, Right & { readonly toString: { request: null; reply: null } }>;
    await expect(wide.call("toString", null)).rejects.toThrow(/called toString, which is unknown/);
  });
});

describe("giving up", () => {
  test("rejects with the reason and tells the handler", async () => {
    const told = deferred();
    const { left } = pair({
      hang: (_, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener("abort", () => {
            told.resolve(undefined);
            reject(new Error("stopped"));
          });
        }),
      double: (n) => n,
    });
    const controller = new AbortController();
    const call = left.call("hang", null, { signal: controller.signal });
    await left.call("double", 1);
    controller.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    await told.promise;
    expect(left.inFlight).toBe(0);
  });

  test("before a call is looked at, it is never carried out", async () => {
    let ran = 0;
    const { left } = pair({ double: (n) => (ran++, n), note: () => undefined });
    await left.call("double", 0);
    const controller = new AbortController();
    const call = left.call("double", 1, { signal: controller.signal });
    controller.abort(new Error("enough"));
    await expect(call).rejects.toThrow("enough");
    await left.call("double", 2);
    expect(ran).toBeLessThanOrEqual(3);
    expect(left.inFlight).toBe(0);
  });

  test("in advance sends nothing", async () => {
    const { left } = pair({});
    await expect(left.call("double", 1, { signal: AbortSignal.abort(new Error("over")) })).rejects.toThrow(
      "over",
    );
  });
});

describe("the end of the other thread", () => {
  test("fails what is pending and everything after", async () => {
    const { port1, port2 } = new MessageChannel();
    const worker = new Worker(
      `const { workerData } = require("node:worker_threads");
       workerData.port.once("message", () => process.exit(3));`,
      { eval: true, workerData: { port: port2 }, transferList: [port2] },
    );
    const rpc = new Rpc<Left, Right>(
      { peer: "the engine thread", callsMax: 10 },
      { port: port1, handlers: {} },
    );
    open.push(rpc);
    const call = rpc.call("hang", null);
    await expect(call).rejects.toMatchObject({
      code: "THREAD_GONE",
      message: "the engine thread ended before it answered hang",
    });
    await expect(rpc.call("hang", null)).rejects.toBeInstanceOf(ThreadError);
    await worker.terminate();
  });
});

test("a burst is worked off in slices, between which other work gets its turn", async () => {
  let turns = 0;
  const { left } = pair({
    double: (n) => {
      const until = performance.now() + 2;
      while (performance.now() < until);
      return n;
    },
  });
  await left.call("double", 0);
  const calls = Array.from({ length: 20 }, (_, n) => left.call("double", n));
  let busy = true;
  const count = (): void => {
    turns++;
    if (busy) setImmediate(count);
  };
  setImmediate(count);
  await Promise.all(calls);
  busy = false;
  // 40 ms of work in slices of 5 ms.
  expect(turns).toBeGreaterThan(5);
});

function deferred(): { promise: Promise<unknown>; resolve: (value: unknown) => void } {
  let resolve: (value: unknown) => void = () => undefined;
  const promise = new Promise((done) => (resolve = done));
  return { promise, resolve };
}

test("what arrived can be looked at within the turn", async () => {
  const { left, right } = pair({ double: (n) => 2 * n });
  const call = left.call("double", 4);
  right.look();
  expect(left.inFlight).toBe(1);
  left.look();
  expect(left.inFlight).toBe(0);
  expect(await call).toBe(8);
  right[Symbol.dispose]();
  expect(() => right.look()).not.toThrow();
});
