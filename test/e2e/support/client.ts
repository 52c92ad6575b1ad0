/** A plain REST client for tests with real processes: the answer as it came, or what fetch throws. */
export interface Answer {
  readonly status: number;
  readonly body: { readonly result?: unknown; readonly status?: unknown };
  readonly index: string | null;
}

export interface PointIn {
  readonly id: number | string;
  readonly vector: readonly number[];
  readonly payload?: object;
}

export class Client {
  readonly #url: string;

  constructor(url: string) {
    this.#url = url;
  }

  async call(
    method: string,
    path: string,
    body?: object,
    headers: Readonly<Record<string, string>> = {},
    signal: AbortSignal | null = null,
  ): Promise<Answer> {
    const response = await fetch(`${this.#url}${path}`, {
      method,
      headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      signal,
    });
    const text = await response.text();
    return {
      status: response.status,
      body: (text.startsWith("{") ? JSON.parse(text) : {}) as Answer["body"],
      index: response.headers.get("x-flotilla-index"),
    };
  }

  /** Throws unless it was made. */
  async create(
    name: string,
    { size, shards = 1, replicas = 1 }: { size: number; shards?: number; replicas?: number },
  ): Promise<void> {
    const vectors = { size, distance: "Dot" };
    const { status, body } = await this.call("PUT", `/collections/${name}`, {
      vectors,
      shard_number: shards,
      replication_factor: replicas,
    });
    if (status !== 200) throw new Error(`create ${name}: ${status} ${JSON.stringify(body)}`);
  }
  async drop(name: string): Promise<Answer> {
    return await this.call("DELETE", `/collections/${name}`);
  }
  async upsert(name: string, points: readonly PointIn[], headers?: Record<string, string>): Promise<Answer> {
    return await this.call("PUT", `/collections/${name}/points`, { points }, headers);
  }
  async remove(name: string, ids: readonly (number | string)[]): Promise<Answer> {
    return await this.call("POST", `/collections/${name}/points/delete`, { points: ids });
  }
  async count(name: string): Promise<number> {
    const { body } = await this.call("POST", `/collections/${name}/points/count`, { exact: true });
    return (body.result as { readonly count: number }).count;
  }
  /** All points, by id, with payload. */
  async all(name: string): Promise<ReadonlyMap<number | string, { readonly payload: unknown }>> {
    const found = new Map<number | string, { readonly payload: unknown }>();
    let offset: unknown = null;
    do {
      const { body } = await this.call("POST", `/collections/${name}/points/scroll`, {
        limit: 1000,
        with_payload: true,
        ...(offset === null ? {} : { offset }),
      });
      const page = body.result as {
        readonly points: readonly { readonly id: number | string; readonly payload: unknown }[];
        readonly next_page_offset: unknown;
      };
      for (const point of page.points) found.set(point.id, point);
      offset = page.next_page_offset ?? null;
    } while (offset !== null);
    return found;
  }
}
