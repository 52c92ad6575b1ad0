/** A REST front-end over the model cluster, and a client that shows everything of an answer. */
import { pino } from "pino";
import { MemoryCluster } from "../../bench/support/memory-cluster.ts";
import { limits, type Limits } from "../../src/api/limits.ts";
import { AdminService } from "../../src/api/admin-service.ts";
import { LoadShedder, type ShedParts } from "../../src/api/load-shedder.ts";
import { VectorService } from "../../src/api/vector-service.ts";
import { Authenticator, type Keys } from "../../src/auth/authenticator.ts";
import type { Guard } from "../../src/auth/guard.ts";
import type { Tokens } from "../../src/auth/tokens.ts";
import { httpOptions, type HttpOptions } from "../../src/http/options.ts";
import type { ServerTls } from "../../src/http/secure-servers.ts";
import { serveHttp, type HttpServer, type Observation } from "../../src/http/server.ts";

export interface RestAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  /** The parsed body; undefined when it is not JSON. */
  readonly body: Body;
}

interface Body {
  readonly result?: unknown;
  readonly status?: unknown;
  readonly time?: unknown;
  readonly [key: string]: unknown;
}

export interface Rest extends AsyncDisposable {
  readonly url: string;
  readonly cluster: MemoryCluster;
  readonly server: HttpServer;
  readonly observed: Observation[];
  /** The next request to finish or break off. */
  nextObservation(): Promise<Observation>;
  /** Lines of the log, parsed. */
  readonly logged: Record<string, unknown>[];
  call(method: string, path: string, body?: unknown, headers?: Record<string, string>): Promise<RestAnswer>;
  /** As `call`, with a body that is sent as it is. */
  raw(
    method: string,
    path: string,
    body: string | Uint8Array,
    headers?: Record<string, string>,
  ): Promise<RestAnswer>;
}

export interface RestOptions {
  readonly keys?: Keys;
  readonly tokens?: Tokens;
  readonly guard?: Guard;
  readonly tls?: ServerTls;
  readonly limits?: Partial<Limits>;
  readonly http?: Partial<HttpOptions>;
  readonly shed?: ShedParts;
  readonly cluster?: MemoryCluster;
}

export async function startRest(options: RestOptions = {}): Promise<Rest> {
  const cluster = options.cluster ?? new MemoryCluster();
  const observed: Observation[] = [];
  const watchers: ((observation: Observation) => void)[] = [];
  const logged: Record<string, unknown>[] = [];
  const service = new VectorService({ limits: limits(options.limits) }, { cluster });
  const write = (line: string): void => void logged.push(JSON.parse(line) as Record<string, unknown>);
  const server = await serveHttp({
    service,
    admin: new AdminService({ limits: service.limits }, { admin: cluster.admin, node: () => cluster.node() }),
    authenticator: new Authenticator(options.keys ?? {}, { tokens: options.tokens ?? null }),
    ...(options.guard === undefined ? {} : { guard: options.guard }),
    shedder: new LoadShedder(httpOptions(options.http), options.shed),
    tls: options.tls ?? null,
    listen: { host: "127.0.0.1", port: 0 },
    http: httpOptions(options.http),
    observe: (observation) => {
      observed.push(observation);
      for (const watcher of watchers.splice(0)) watcher(observation);
    },
    metricsText: () => Promise.resolve("# HELP up 1 when up\nup 1\n"),
    log: pino({ level: "debug" }, { write }),
  });
  const url = `http://${server.address}`;
  const raw: Rest["raw"] = async (method, path, body, headers = {}) => {
    // A redirect is an answer to look at, not a place to go.
    const redirect = "manual" as const;
    const init =
      method === "GET" || method === "HEAD"
        ? { method, headers, redirect }
        : { method, headers, redirect, body };
    const response = await fetch(`${url}${path}`, init);
    const text = await response.text();
    const json = (response.headers.get("content-type") ?? "").startsWith("application/json");
    const parsed = json && text !== "" ? (JSON.parse(text) as Body) : {};
    return { status: response.status, headers: response.headers, text, body: parsed };
  };
  return {
    url,
    cluster,
    server,
    observed,
    nextObservation: () => new Promise((resolve) => watchers.push(resolve)),
    logged,
    raw,
    call: (method, path, body, headers = {}) =>
      body === undefined
        ? raw(method, path, "", headers)
        : raw(method, path, JSON.stringify(body), { "content-type": "application/json", ...headers }),
    [Symbol.asyncDispose]: () => server.close({ drainMs: 0 }),
  };
}

/** The code and text of an error answer. */
export function errorOf(answer: RestAnswer): { readonly code: string; readonly error: string } {
  const status = answer.body.status as { readonly code?: string; readonly error?: string } | undefined;
  return { code: status?.code ?? "", error: status?.error ?? "" };
}

export const CITY = { vectors: { size: 4, distance: "Dot" } } as const;
