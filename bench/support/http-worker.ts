/** Thread of `bench/http.ts`: a REST front-end over the model cluster that reports how long it was busy. */
import { pino } from "pino";
import { parentPort } from "node:worker_threads";
import { limits } from "../../src/api/limits.ts";
import { VectorService } from "../../src/api/vector-service.ts";
import { Authenticator } from "../../src/auth/authenticator.ts";
import { httpOptions } from "../../src/http/options.ts";
import { serveHttp } from "../../src/http/server.ts";
import { MemoryCluster } from "./memory-cluster.ts";

const port = parentPort;
if (port === null) throw new Error("this file runs as a worker thread of bench/http.ts");

const cluster = new MemoryCluster();
const server = await serveHttp({
  service: new VectorService({ limits: limits() }, { cluster }),
  authenticator: new Authenticator({ apiKey: null }),
  listen: { host: "127.0.0.1", port: 0 },
  http: httpOptions(),
  observe: () => undefined,
  metricsText: () => Promise.resolve(""),
  log: pino({ level: "silent" }),
});
let mark = performance.eventLoopUtilization();
port.on("message", () => {
  const since = performance.eventLoopUtilization(mark);
  mark = performance.eventLoopUtilization();
  port.postMessage({ activeMs: since.active });
});
port.postMessage({ url: `http://${server.address}` });
