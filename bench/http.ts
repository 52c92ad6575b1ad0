/**
 * What a request costs the front thread: REST over the model cluster in a thread of its own, whose busy time is
 * divided by the requests it answered. The model holds ten points, so that next to nothing is the search itself. The
 * ratio is to a bare HTTP server that parses the same bodies and does nothing with them.
 */
import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { Pool } from "undici";

interface Ready {
  readonly url: string;
  readonly bareUrl: string;
}
interface Busy {
  readonly activeMs: number;
}

interface Case {
  readonly name: string;
  readonly method: "GET" | "POST" | "PUT";
  readonly path: string;
  readonly bodies: readonly string[];
  readonly requests: number;
}

const POINTS = "/collections/bench/points";

/** `--dim 784 --requests 3000 --clients 8` */
export async function main(args: readonly string[]): Promise<void> {
  const dim = flag(args, "--dim", 784);
  const requests = flag(args, "--requests", 8_000);
  const clients = flag(args, "--clients", 8);
  const worker = new Worker(new URL("./support/http-worker.js", import.meta.url));
  try {
    const { url, bareUrl } = await told<Ready>(worker);
    const bare = new Pool(bareUrl, { connections: clients, pipelining: 1 });
    const pool = new Pool(url, { connections: clients, pipelining: 1 });
    await send(
      pool,
      "PUT",
      "/collections/bench",
      JSON.stringify({ vectors: { size: dim, distance: "Cosine" } }),
    );
    await send(pool, "PUT", POINTS, upsert(dim, 10, 0));
    console.log(`dim ${dim}, ${clients} clients, front thread busy per request:`);
    for (const one of cases(dim, requests)) {
      const least = await measure(bare, worker, one, clients);
      const { micros, rate } = await measure(pool, worker, one, clients);
      const bytes = one.bodies.reduce((sum, body) => sum + body.length, 0) / one.bodies.length;
      console.log(
        `${one.name.padEnd(30)} ${micros.toFixed(1).padStart(9)} us  bare ${least.micros.toFixed(1).padStart(9)} us` +
          `  ratio ${(micros / least.micros).toFixed(2)}  ${(bytes / 1024).toFixed(1).padStart(7)} KiB body` +
          `  ${rate.toFixed(0).padStart(7)} requests/s`,
      );
    }
    await Promise.all([pool.close(), bare.close()]);
  } finally {
    await worker.terminate();
  }
}

function cases(dim: number, requests: number): readonly Case[] {
  const random = (): string => JSON.stringify({ query: floats(dim), limit: 10, params: { hnsw_ef: 64 } });
  const pixels = (): string => JSON.stringify({ query: bytes(dim), limit: 10, params: { hnsw_ef: 64 } });
  const many = <T>(make: (i: number) => T): T[] => Array.from({ length: 16 }, (_, i) => make(i));
  const bulk = Math.max(1, Math.floor(requests / 20));
  return [
    { name: "GET /livez", method: "GET", path: "/livez", bodies: [""], requests },
    {
      name: "query, 8-digit floats",
      method: "POST",
      path: `${POINTS}/query`,
      bodies: many(random),
      requests,
    },
    { name: "query, pixels 0..255", method: "POST", path: `${POINTS}/query`, bodies: many(pixels), requests },
    {
      name: "upsert of 100 points, floats",
      method: "PUT",
      path: POINTS,
      bodies: many((i) => upsert(dim, 100, 1_000 * i)),
      requests: bulk,
    },
  ];
}

interface Measured {
  /** Busy time of the thread per request, microseconds. */
  readonly micros: number;
  readonly rate: number;
}

async function measure(pool: Pool, worker: Worker, one: Case, clients: number): Promise<Measured> {
  const bodyAt = (i: number): string => one.bodies[i % one.bodies.length] ?? "";
  const run = async (total: number): Promise<void> => {
    let next = 0;
    const client = async (): Promise<void> => {
      while (next < total) await send(pool, one.method, one.path, bodyAt(next++));
    };
    await Promise.all(Array.from({ length: clients }, client));
  };
  await run(Math.ceil(one.requests / 2));
  worker.postMessage("mark");
  await told<Busy>(worker);
  const began = performance.now();
  await run(one.requests);
  const wallMs = performance.now() - began;
  worker.postMessage("mark");
  const { activeMs } = await told<Busy>(worker);
  return { micros: (activeMs * 1_000) / one.requests, rate: one.requests / (wallMs / 1_000) };
}

async function send(pool: Pool, method: Case["method"], path: string, body: string): Promise<void> {
  const answer = await pool.request(
    body === "" ? { method, path } : { method, path, body, headers: { "content-type": "application/json" } },
  );
  const text = await answer.body.text();
  if (answer.statusCode !== 200)
    throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 300)}`);
}

async function told<T>(worker: Worker): Promise<T> {
  const [message] = (await once(worker, "message")) as [T];
  return message;
}

const floats = (dim: number): number[] =>
  Array.from({ length: dim }, () => Number((Math.random() * 2 - 1).toPrecision(8)));
const bytes = (dim: number): number[] =>
  Array.from({ length: dim }, () => (Math.random() < 0.8 ? 0 : Math.floor(Math.random() * 256)));

function upsert(dim: number, count: number, from: number): string {
  const points = Array.from({ length: count }, (_, i) => ({
    id: from + i,
    vector: floats(dim),
    payload: { i },
  }));
  return JSON.stringify({ points });
}

function flag(args: readonly string[], name: string, absent: number): number {
  const at = args.indexOf(name);
  const value = at === -1 ? absent : Number(args[at + 1]);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${name} needs a whole number above 0`);
  return value;
}
