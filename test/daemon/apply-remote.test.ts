import { expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/index.ts";
import { OpenCaptures, RemoteApplyOp } from "../../src/threads/apply-remote.ts";

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
