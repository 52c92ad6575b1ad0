/**
 * Thread of `bench/consensus-delay.ts` that has nothing to do: how late its turns come, measured as those of the
 * daemon's threads are, is the machine's doing alone. It lives until it is terminated.
 */
import { parentPort } from "node:worker_threads";
import { reportDelay } from "../../src/threads/delay.ts";

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread of bench/consensus-delay.ts");

port.ref();
reportDelay("idle", { send: ({ delayMaxMs }) => port.postMessage(delayMaxMs), waiting: () => 0 });
