/** Thread of `bench/consensus-delay.ts` that has nothing to do: how late its turns come is the machine's doing alone. */
import { monitorEventLoopDelay } from "node:perf_hooks";
import { parentPort } from "node:worker_threads";

/** As the daemon's threads measure it. */
const RESOLUTION_MS = 10;

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread of bench/consensus-delay.ts");

const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
histogram.enable();
port.on("message", () => {
  port.postMessage(Math.max(0, histogram.max / 1e6 - RESOLUTION_MS));
  histogram.reset();
});
