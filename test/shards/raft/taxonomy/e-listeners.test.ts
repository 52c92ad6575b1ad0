/** E: whoever drives the core may listen late or not at all; the core keeps what it has to say, within a limit. */
import { expect, test } from "vitest";
import { cluster, message } from "../support/cluster.ts";

const noise = (term: number) => message("timeoutNow", { from: 2, to: 1, term }, {});

test("events wait for the next ready, in order, and are handed out once", () => {
  const group = cluster(3).elect(1);
  for (let at = 0; at < 3; at++) group.core(1).step(noise(1));
  const { events } = group.core(1).ready();
  expect(events.map((event) => event.kind)).toEqual(["messageDropped", "messageDropped", "messageDropped"]);
  expect(group.core(1).ready().events).toEqual([]);
});

test("a list that was handed out is the listener's: nothing is added to it later", () => {
  const group = cluster(3).elect(1);
  const ready = group.core(1).ready();
  group.core(1).step(noise(1));
  group.core(1).tick();
  expect(ready.events).toEqual([]);
  expect(ready.send).toEqual([]);
});

test("a flood that nobody listens to is bounded, and the first ones are kept", () => {
  const group = cluster(3).elect(1);
  group.core(1).step(noise(0));
  for (let at = 0; at < 5000; at++) group.core(1).step(noise(1));
  const { events } = group.core(1).ready();
  expect(events).toHaveLength(1024);
  expect(events[0]).toMatchObject({ why: "a timeoutNow carries a term" });
});
