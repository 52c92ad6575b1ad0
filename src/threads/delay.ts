import { monitorEventLoopDelay } from "node:perf_hooks";
import type { ThreadReport } from "./contracts.ts";

/** How often a thread reports; short enough that a scrape every few seconds sees every spike. */
const REPORT_EVERY_MS = 1_000;
/** The finest the event loop's own timer offers at no measurable cost. */
const RESOLUTION_MS = 10;

/** Reports how late this thread's turns come until disposed. Does not keep the thread alive. */
export function reportDelay(
  thread: string,
  parts: { readonly send: (report: ThreadReport) => void; readonly waiting: () => number },
): Disposable {
  const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  histogram.enable();
  const timer = setInterval(() => {
    // The histogram counts from one look to the next, so a loop on time shows the resolution itself.
    const late = (ns: number): number => Math.max(0, ns / 1e6 - RESOLUTION_MS);
    parts.send({
      thread,
      delayP50Ms: late(histogram.percentile(50)),
      delayP99Ms: late(histogram.percentile(99)),
      delayMaxMs: late(histogram.max),
      heapBytes: process.memoryUsage().heapUsed,
      waiting: parts.waiting(),
    });
    histogram.reset();
  }, REPORT_EVERY_MS);
  timer.unref();
  return {
    [Symbol.dispose]: () => {
      clearInterval(timer);
      histogram.disable();
    },
  };
}
