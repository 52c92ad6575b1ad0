/** The reads of the service Points. */
import { ApiError } from "../api/errors.ts";
import type { Limits } from "../api/limits.ts";
import type { SearchRequest } from "../api/searches.ts";
import type { CollectionPermit } from "../auth/permit.ts";
import { readOptions } from "./call-options.ts";
import * as messages from "./messages/points.ts";
import type { Of } from "./messages/points.ts";
import { method, onCollection, type Call, type Method } from "./method.ts";
import { idOf, idsOf, point, scored, selectorOf, vectorOf } from "./point-fields.ts";

const EVERYTHING = { withPayload: { kind: "all" }, withVector: true } as const;
/** Hits of a search and points of a page, unless the request says how many. */
const LIMIT = 10;

type Asked = Omit<Parameters<typeof readOptions>[0], "signal">["request"];

export function readMethods(limits: Limits): readonly Method[] {
  return [
    method({
      service: "Points",
      name: "Get",
      rule: onCollection("read"),
      request: messages.GET,
      answer: messages.POINT,
      async handle(call) {
        const id = idOf(call.request.id, limits, () => "`id`");
        return point(await call.service.point(call.permit, id, EVERYTHING, readOptions(call)), EVERYTHING);
      },
    }),
    method({
      service: "Points",
      name: "Retrieve",
      rule: onCollection("read"),
      request: messages.RETRIEVE,
      answer: messages.POINTS_ANSWER,
      async handle(call) {
        const { ids, withVector } = call.request;
        const shape = {
          withPayload: selectorOf(call.request.withPayload, "all", "with_payload"),
          withVector,
        };
        const found = await call.service.retrieve(call.permit, idsOf(ids, limits), shape, readOptions(call));
        return { points: found.map((stored) => point(stored, shape)) };
      },
    }),
    method({
      service: "Points",
      name: "Scroll",
      rule: onCollection("read"),
      request: messages.SCROLL,
      answer: messages.SCROLL_ANSWER,
      async handle(call) {
        const { from, limit, withVector } = call.request;
        const shape = {
          withPayload: selectorOf(call.request.withPayload, "all", "with_payload"),
          withVector,
        };
        const page = {
          from: from === null ? null : idOf(from, limits, () => "`from`"),
          limit: limit ?? LIMIT,
          ...shape,
        };
        const { points, next } = await call.service.scroll(call.permit, page, readOptions(call));
        return { points: points.map((stored) => point(stored, shape)), next };
      },
    }),
    method({
      service: "Points",
      name: "Count",
      rule: onCollection("read"),
      request: messages.COUNT,
      answer: messages.COUNT_ANSWER,
      handle: async (call) => ({ count: await call.service.count(call.permit, readOptions(call)) }),
    }),
    method({
      service: "Points",
      name: "Search",
      rule: onCollection("read"),
      request: messages.SEARCH,
      answer: messages.SEARCH_ANSWER,
      async handle(call) {
        const { query } = call.request;
        if (query === null) throw new ApiError("BAD_REQUEST", "Wrong input: the request lacks `query`");
        const [hits] = await search(call, [query], limits, () => "query");
        return { hits: hits ?? [] };
      },
    }),
    method({
      service: "Points",
      name: "SearchBatch",
      rule: onCollection("read"),
      request: messages.SEARCH_BATCH,
      answer: messages.SEARCH_BATCH_ANSWER,
      async handle(call) {
        const lists = await search(call, call.request.queries, limits, (at) => `queries[${at}]`);
        return { answers: lists.map((hits) => ({ hits })) };
      },
    }),
  ];
}

type Query = Of<typeof messages.QUERY>;

async function search(
  call: Call<CollectionPermit<"read">, Asked>,
  queries: readonly Query[],
  limits: Limits,
  place: (at: number) => string,
): Promise<readonly (readonly Of<typeof messages.SCORED_POINT>[])[]> {
  const { service, permit } = call;
  const { dimension } = service.collection(permit).vectors;
  const requests = queries.map((query, at) => requestOf(query, dimension, limits, () => place(at)));
  const found = await service.search(permit, requests, readOptions(call));
  return found.map((hits, at) => {
    const request = requests[at];
    return request === undefined ? [] : hits.map((hit) => scored(hit, request));
  });
}

function requestOf(query: Query, dimension: number, limits: Limits, place: () => string): SearchRequest {
  return {
    near: nearOf(query, dimension, limits, place),
    limit: query.limit ?? LIMIT,
    offset: query.offset,
    ef: query.hnswEf,
    exact: query.exact,
    scoreThreshold: query.scoreThreshold,
    withPayload: selectorOf(query.withPayload, "none", "with_payload"),
    withVector: query.withVector,
  };
}

function nearOf(
  { vector, point: id }: Query,
  dimension: number,
  limits: Limits,
  place: () => string,
): SearchRequest["near"] {
  if (id === null)
    return { kind: "vector", vector: vectorOf(vector, dimension, () => `\`${place()}.vector\``) };
  if (vector.length > 0)
    throw new ApiError("BAD_REQUEST", `Wrong input: \`${place()}\` must have either \`vector\` or \`point\``);
  return { kind: "point", id: idOf(id, limits, () => `\`${place()}.point\``) };
}
