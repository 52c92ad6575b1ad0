import { expect, test } from "vitest";
import type { GroupMessage } from "../../shards/index.ts";
import { BULK_APPEND_BYTES, EntryLane } from "../../shards/transport/entry-lane.ts";
import { append, heartbeat } from "./support/transport-node.ts";

function lane() {
  let nowMs = 0;
  const lane = new EntryLane(() => nowMs);
  return {
    sort: (messages: readonly GroupMessage[], isBusy = false) => lane.sort(messages, isBusy),
    pass: (ms: number) => (nowMs += ms),
  };
}
const [small, large] = [append(1, 100), append(2, BULK_APPEND_BYTES)];
const other = append(7, 100, 2);

test("small entries and all that is not entries are no bulk", () => {
  const { sort } = lane();
  expect(sort([heartbeat, small, other])).toEqual({ prompt: [heartbeat, small, other], bulk: [] });
});

test("what follows a large append in its group stays behind it for a second, and as long as something waits to leave", () => {
  const { sort, pass } = lane();
  expect(sort([large, heartbeat, small, other])).toEqual({
    prompt: [heartbeat, other],
    bulk: [large, small],
  });
  pass(999);
  expect(sort([small]).bulk).toEqual([small]);
  pass(1);
  expect(sort([small], true).bulk).toEqual([small]);
  expect(sort([small]).prompt).toEqual([small]);
  expect(sort([small], true).prompt).toEqual([small]);
});
