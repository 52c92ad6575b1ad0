import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/index.ts";
import { OpenCaptures, RemoteApplyOp } from "../../src/threads/apply-remote.ts";
import { temporaryDirectory } from "../engine/support.ts";

test("entries that share one network buffer are handed over as copies of their own", async () => {
  const message = Buffer.from("..one.two..");
  const entries = [message.subarray(2, 5), message.subarray(6, 9)].map((data, at) => ({
    term: Term(1),
    index: LogIndex(at + 1),
    data,
  }));
  const seen: string[] = [];
  const applyOp = new RemoteApplyOp(7, {
    holder: {
      call: (_method, request, options) => {
        const taken = structuredClone(request, {
          transfer: [...(options?.transfer ?? [])].map((buffer) => buffer as ArrayBuffer),
        });
        if ("entries" in taken) for (const { data } of taken.entries) seen.push(Buffer.from(data).toString());
        return Promise.resolve([] as never);
      },
    },
    restores: new OpenCaptures(),
  });
  await applyOp.apply(entries);
  expect(seen).toEqual(["one", "two"]);
  // The log still has what it had.
  expect(message.toString()).toBe("..one.two..");
});

test("a capture that can be read here is read here, and its holder is asked only to release it", async () => {
  using directory = temporaryDirectory();
  writeFileSync(join(directory.path, "points.sqlite"), "0123456789");
  const asked: string[] = [];
  const applyOp = new RemoteApplyOp(7, {
    holder: {
      call: (method) => {
        asked.push(method);
        const files = [{ name: "points.sqlite", bytes: 10, sha256: "" }];
        return Promise.resolve({ capture: 3, index: 9, files, readableIn: directory.path } as never);
      },
    },
    restores: new OpenCaptures(),
  });
  const captured = await applyOp.capture();
  const pieces = await Promise.all([0, 4, 8].map((offset) => captured.read("points.sqlite", offset, 4)));
  expect(pieces.map((piece) => Buffer.from(piece).toString())).toEqual(["0123", "4567", "89"]);
  // What receives a snapshot links it only when it is its own.
  expect(captured.directory).toBeUndefined();
  await captured[Symbol.asyncDispose]();
  expect(asked).toEqual(["capture", "releaseCaptured"]);
});

test("no call of a group is refused for how many others are unanswered: a refusal would stop the group", async () => {
  const refusable: string[] = [];
  const files = [{ name: "points.sqlite", bytes: 0, sha256: "" }];
  const applyOp = new RemoteApplyOp(7, {
    holder: {
      call: (method, _request, options) => {
        if (options?.essential !== true) refusable.push(method);
        const captured = { capture: 3, index: 9, files };
        return Promise.resolve((method === "capture" ? captured : 9) as never);
      },
    },
    restores: new OpenCaptures(),
  });
  await applyOp.apply([]);
  await applyOp.appliedIndex();
  await applyOp.durableIndex();
  await applyOp.checkpoint();
  const captured = await applyOp.capture();
  await captured.read("points.sqlite", 0, 1);
  await captured[Symbol.asyncDispose]();
  await applyOp.restore(captured);
  expect(refusable).toEqual([]);
});
