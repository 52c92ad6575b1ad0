import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { count, duration, startProgress } from "../../src/cli/import/progress.ts";
import type { ProgressStream } from "../../src/cli/import/progress.ts";

/** Keeps what is written; says whether it is a terminal. */
function streamOf(isTTY: boolean): { readonly stream: ProgressStream; text(): string } {
  let text = "";
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      text += chunk.toString();
      done();
    },
  });
  const terminal = { columns: 120, cursorTo: () => true, clearLine: () => true, moveCursor: () => true };
  return { stream: Object.assign(sink, { isTTY }, terminal), text: () => text };
}

test("numbers and times are written for people", () => {
  expect([0, 999, 1000, 1234567.6].map(count)).toEqual(["0", "999", "1,000", "1,234,568"]);
  expect([0, 59.4, 200, 7500, Number.NaN].map(duration)).toEqual([
    "0 s",
    "59 s",
    "3 min 20 s",
    "2 h 5 min",
    "?",
  ]);
});

test("without a terminal progress is whole lines, ending with the last state", () => {
  const { stream, text } = streamOf(false);
  const progress = startProgress({ title: "import", total: 1000, unit: "points", stream });
  for (let done = 100; done <= 1000; done += 100) progress.update(done);
  progress.note("something happened");
  progress.stop();
  expect(text()).toMatch(/^something happened\nimport: 1,000 of 1,000 points, [\d,]+\/s, 0 s left\n$/);
});

test("on a terminal it is a bar with rate and time left", () => {
  const { stream, text } = streamOf(true);
  const progress = startProgress({ title: "import", total: 10, unit: "points", stream });
  progress.update(10);
  progress.stop();
  expect(text()).toContain("100% | 10/10 points | ");
  expect(text()).toMatch(/\/s \| 0 s left/);
});

test("for --json nothing is shown", () => {
  const { stream, text } = streamOf(true);
  const progress = startProgress({ title: "import", total: 10, unit: "points", silent: true, stream });
  progress.update(10);
  progress.note("x");
  progress.stop();
  expect(text()).toBe("");
});
