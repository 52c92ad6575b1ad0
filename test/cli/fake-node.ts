/** A small real HTTP server with the routes an import uses; what it answers can be steered request by request. */
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Upsert {
  /** What follows the path, as in `?wait=true`. */
  readonly query: string;
  readonly key: string | undefined;
  readonly apiKey: string | undefined;
  readonly points: readonly {
    readonly id: number | string;
    readonly vector: number[];
    readonly payload?: object;
  }[];
}

/** What to do with an upsert instead of storing it: an answer of another kind, or "hang up". */
export type Refusal = { readonly status: number; readonly headers?: Record<string, string> } | "hangUp";

export class FakeNode implements AsyncDisposable {
  readonly #server: Server;
  readonly collections = new Map<string, { readonly size: number; readonly body: unknown }>();
  readonly points = new Map<number | string, readonly number[]>();
  readonly payloads = new Map<number | string, object | undefined>();
  readonly upserts: Upsert[] = [];
  readonly searches: Record<string, unknown>[] = [];
  forget = 0;
  refuseSearches = false;
  /** Asked before each upsert is stored; null stores it. May wait. */
  onUpsert: (upsert: Upsert, count: number) => Refusal | null | Promise<Refusal | null> = () => null;

  private constructor(server: Server) {
    this.#server = server;
  }

  static async start(): Promise<FakeNode> {
    const server = createServer();
    const node = new FakeNode(server);
    server.on("request", (request, response) => {
      node.#serve(request, response).catch((error: unknown) => response.destroy(error as Error));
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    return node;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  /** Exact, by Euclidean distance, ties by id; the nearest `forget` points are left out. */
  #nearest(body: Record<string, unknown>): readonly object[] {
    const { vector, limit } = body as { vector: number[]; limit: number };
    this.searches.push(body);
    return [...this.points]
      .map(([id, point]) => ({
        id,
        score: Math.sqrt(point.reduce((sum, x, i) => sum + (x - (vector[i] ?? 0)) ** 2, 0)),
      }))
      .sort((a, b) => a.score - b.score || Number(a.id) - Number(b.id))
      .slice(this.forget, this.forget + limit);
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const text = Buffer.concat(parts).toString();
    const body = (text === "" ? null : JSON.parse(text)) as Record<string, unknown>;
    const path = new URL(request.url ?? "/", "http://x").pathname;
    const answer = (status: number, result: unknown, headers: Record<string, string> = {}) => {
      const envelope =
        status < 300
          ? { result, status: "ok", time: 0 }
          : { status: { error: String(result), code: `CODE_${status}` }, time: 0 };
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(envelope));
    };
    const name = decodeURIComponent(path.split("/")[2] ?? "");
    const collection = this.collections.get(name);
    if (request.method === "PUT" && path.split("/").length === 3) {
      const { vectors } = body as { vectors: { size: number } };
      this.collections.set(name, { size: vectors.size, body });
      answer(200, true);
    } else if (collection === undefined) answer(404, `Collection ${name} does not exist`);
    else if (request.method === "DELETE") {
      this.collections.delete(name);
      answer(200, true);
    } else if (request.method === "GET")
      answer(200, {
        status: "green",
        points_count: this.points.size,
        indexed_vectors_count: this.points.size,
        config: { params: { vectors: { size: collection.size, distance: "Euclid" } } },
      });
    else if (path.endsWith("/search") && this.refuseSearches) answer(503, "too busy");
    else if (path.endsWith("/search")) answer(200, this.#nearest(body));
    else if (request.method === "POST") {
      const ids = body["ids"] as (number | string)[];
      answer(
        200,
        ids.filter((id) => this.points.has(id)).map((id) => ({ id })),
      );
    } else {
      const upsert: Upsert = {
        query: new URL(request.url ?? "/", "http://x").search,
        key: request.headers["idempotency-key"] as string | undefined,
        apiKey: request.headers["api-key"] as string | undefined,
        points: body["points"] as Upsert["points"],
      };
      this.upserts.push(upsert);
      const refusal = await this.onUpsert(upsert, this.upserts.length);
      if (refusal === "hangUp") response.destroy();
      else if (refusal !== null) answer(refusal.status, "refused", refusal.headers);
      else {
        for (const { id, vector, payload } of upsert.points) {
          this.points.set(id, vector);
          this.payloads.set(id, payload);
        }
        answer(200, { operation_id: 1, status: "completed" });
      }
    }
  }
}
