/** Reads: points by id, pages of them, their number, and what is near a vector. */
import { pointIdFromPath } from "../api/ids.ts";
import type { Limits } from "../api/limits.ts";
import type { CollectionPermit } from "../auth/permit.ts";
import { arrayOf, COUNT, HITS, objectOf, PAGE, QUERIED, RECORD, result } from "./answers.ts";
import { READ_QUERY, readOptions, type ReadQuery } from "./call-options.ts";
import { idSchema, readFilter, shardKey, withPayload, withVector } from "./point-fields.ts";
import { hit, record } from "./point-view.ts";
import { onCollection, POINTS, route, type Answer, type Call, type Route } from "./route.ts";
import {
  boolean,
  fallback,
  lacking,
  list,
  mapped,
  object,
  optional,
  required,
  whole,
  type JsonSchema,
  type Schema,
} from "./schema.ts";
import { searchBodies, type SearchDraft } from "./search-bodies.ts";

const EVERYTHING = { withPayload: { kind: "all" }, withVector: true } as const;

export const readRoutes = (limits: Limits): readonly Route[] => [
  ...pointRoutes(limits),
  ...searchRoutes(limits),
];

function pointRoutes(limits: Limits): readonly Route[] {
  const id = idSchema(limits);
  const retrieve = object({
    shard_key: shardKey,
    ids: required(list(id)),
    with_payload: withPayload(true),
    with_vector: withVector,
  });
  const scroll = object({
    filter: readFilter,
    order_by: lacking("an order other than that of ids"),
    shard_key: shardKey,
    offset: optional(id),
    limit: fallback(whole(1), 10),
    with_payload: withPayload(true),
    with_vector: withVector,
  });
  // Counting is always exact, which is also right for those who would do with less.
  const count = object({ filter: readFilter, shard_key: shardKey, exact: fallback(boolean, true) });
  return [
    route({
      method: "GET",
      url: `${POINTS}/:id`,
      rule: onCollection("read"),
      summary: "One point with payload and vector; its version is also the ETag",
      query: READ_QUERY,
      answer: result(RECORD),
      body: null,
      async handle(call) {
        const { service, permit, params } = call;
        const wanted = pointIdFromPath(params["id"] ?? "", limits);
        const point = await service.point(permit, wanted, EVERYTHING, readOptions(call));
        return { result: record(point, EVERYTHING), headers: { etag: `"${point.version}"` } };
      },
    }),
    route({
      method: "POST",
      url: POINTS,
      rule: onCollection("read"),
      summary: "Points by id, in the order asked for; those that do not exist are left out",
      query: READ_QUERY,
      answer: result(arrayOf(RECORD)),
      body: retrieve,
      async handle(call) {
        const { service, permit, body } = call;
        const shape = { withPayload: body.with_payload, withVector: body.with_vector };
        const points = await service.retrieve(permit, body.ids, shape, readOptions(call));
        return { result: points.map((point) => record(point, shape)) };
      },
    }),
    route({
      method: "POST",
      url: `${POINTS}/scroll`,
      rule: onCollection("read"),
      summary: "A page of points in order of id: numbers first, then strings",
      query: READ_QUERY,
      answer: result(PAGE),
      body: scroll,
      async handle(call) {
        const { service, permit, body } = call;
        const shape = { withPayload: body.with_payload, withVector: body.with_vector };
        const page = { from: body.offset, limit: body.limit, ...shape };
        const { points, next } = await service.scroll(permit, page, readOptions(call));
        return { result: { points: points.map((point) => record(point, shape)), next_page_offset: next } };
      },
    }),
    route({
      method: "POST",
      url: `${POINTS}/count`,
      rule: onCollection("read"),
      summary: "How many points there are",
      query: READ_QUERY,
      answer: result(objectOf({ count: COUNT })),
      body: count,
      handle: async (call) => ({
        result: { count: await call.service.count(call.permit, readOptions(call)) },
      }),
    }),
  ];
}

type Hits = readonly ReturnType<typeof hit>[];

function searchRoutes(limits: Limits): readonly Route[] {
  const bodies = searchBodies(limits);
  const one = (body: Schema<SearchDraft>): Schema<readonly SearchDraft[]> => mapped(body, (draft) => [draft]);
  return [
    searching("search", "Nearest points, as a bare list", one(bodies.search), HITS, ([hits]) => hits),
    searching("search/batch", "Several searches", bodies.searches, arrayOf(HITS), (lists) => lists),
    searching("query", "Nearest points to a vector or a point", one(bodies.query), QUERIED, ([hits]) => ({
      points: hits,
    })),
    searching("query/batch", "Several queries", bodies.queries, arrayOf(QUERIED), (lists) =>
      lists.map((points) => ({ points })),
    ),
  ];
}

function searching(
  path: string,
  summary: string,
  body: Schema<readonly SearchDraft[]>,
  answer: JsonSchema,
  shape: (lists: readonly Hits[]) => unknown,
): Route {
  return route({
    method: "POST",
    url: `${POINTS}/${path}`,
    rule: onCollection("read"),
    summary,
    query: READ_QUERY,
    answer: result(answer),
    body,
    handle: async (call): Promise<Answer> => ({ result: shape(await search(call)) }),
  });
}

async function search(
  call: Call<CollectionPermit<"read">, ReadQuery, readonly SearchDraft[]>,
): Promise<readonly Hits[]> {
  const { service, permit, body } = call;
  const { vectors } = service.collection(permit);
  const requests = body.map((draft) => draft.build(vectors.dimension));
  const found = await service.search(permit, requests, readOptions(call));
  return found.map((hits, i) => {
    const request = requests[i];
    return request === undefined ? [] : hits.map((point) => hit(point, request));
  });
}
