/**
 * Thread of `bench/http.ts`: a REST front-end over the model cluster, and a bare HTTP server that parses the same
 * bodies and throws them away. Reports how long it was busy.
 */
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { pino } from "pino";
import { parentPort } from "node:worker_threads";
import { limits } from "../../src/api/limits.ts";
import { LoadShedder } from "../../src/api/load-shedder.ts";
import { AdminService } from "../../src/api/admin-service.ts";
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
  admin: new AdminService({ limits: limits() }, { admin: cluster.admin, node: () => cluster.node() }),
  authenticator: new Authenticator({ apiKey: null }),
  shedder: new LoadShedder(httpOptions()),
  listen: { host: "127.0.0.1", port: 0 },
  http: httpOptions(),
  observe: () => undefined,
  metricsText: () => Promise.resolve(""),
  log: pino({ level: "silent" }),
});
const bare = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    const body = Buffer.concat(chunks).toString("utf8");
    const answer = JSON.stringify({ result: body === "" ? null : typeof JSON.parse(body) });
    response.setHeader("content-length", answer.length).end(answer);
  });
}).listen(0, "127.0.0.1");
await once(bare, "listening");

let mark = performance.eventLoopUtilization();
port.on("message", () => {
  const since = performance.eventLoopUtilization(mark);
  mark = performance.eventLoopUtilization();
  port.postMessage({ activeMs: since.active });
});
const { port: barePort } = bare.address() as AddressInfo;
port.postMessage({ url: `http://${server.address}`, bareUrl: `http://127.0.0.1:${barePort}` });
