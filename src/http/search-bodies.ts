/** Bodies of searches, in the shape of `points/search` and in that of `points/query`. */
import type { Limits } from "../api/limits.ts";
import type { SearchRequest } from "../api/searches.ts";
import type { PointId } from "../api/types.ts";
import { vectorFrom } from "../api/vectors.ts";
import {
  idSchema,
  rawVector,
  readFilter,
  shardKey,
  under,
  withPayload,
  withVector,
  type RawVector,
} from "./point-fields.ts";
import {
  boolean,
  fallback,
  isObject,
  lacking,
  list,
  mapped,
  named,
  number,
  object,
  optional,
  required,
  schema,
  unsupported,
  whole,
  type Place,
  type Schema,
} from "./schema.ts";

/** A search but for the dimension of its collection. */
export interface SearchDraft {
  /** Throws for a vector that is not one of this dimension. */
  build(dimension: number): SearchRequest;
}

type Near =
  | { readonly kind: "raw"; readonly values: RawVector; readonly at: Place }
  | { readonly kind: "point"; readonly id: PointId };

const params = object({
  hnsw_ef: optional(whole(1)),
  exact: fallback(boolean, false),
  quantization: lacking("quantization"),
  indexed_only: lacking("searches that leave out what is not indexed yet", false),
  acorn: lacking("filters yet", { enable: false }),
  idf: lacking("sparse vectors"),
});

const common = {
  filter: readFilter,
  shard_key: shardKey,
  params: optional(params),
  score_threshold: optional(number),
  limit: fallback(whole(1), 10),
  offset: fallback(whole(0), 0),
  with_payload: withPayload(false),
  with_vector: withVector,
};
const commonBody = object(common);
type Common = typeof commonBody extends Schema<infer T> ? T : never;

export interface SearchBodies {
  readonly search: Schema<SearchDraft>;
  readonly searches: Schema<readonly SearchDraft[]>;
  readonly query: Schema<SearchDraft>;
  readonly queries: Schema<readonly SearchDraft[]>;
}

export function searchBodies(limits: Limits): SearchBodies {
  const search = mapped(object({ vector: required(rawVector), ...common }), (body, at) =>
    draft(body, { kind: "raw", values: body.vector, at: under(at, "vector") }),
  );
  const query = mapped(
    object({
      prefetch: lacking("prefetch", []),
      lookup_from: lacking("look-ups in other collections"),
      // The name of the one vector there is.
      using: lacking("named vectors", ""),
      query: optional(nearSchema(limits)),
      ...common,
    }),
    (body, at) => {
      if (body.query === null)
        throw unsupported(
          "queries that list points without a `query`: scroll them instead",
          under(at, "query"),
        );
      return draft(body, body.query);
    },
  );
  const batch = (one: Schema<SearchDraft>): Schema<readonly SearchDraft[]> =>
    mapped(object({ searches: required(list(one)) }), ({ searches }) => searches);
  return { search, searches: batch(search), query, queries: batch(query) };
}

/** A vector, a point whose vector is meant, or `{"nearest": ...}` around one of these. */
function nearSchema(limits: Limits): Schema<Near> {
  const id = idSchema(limits);
  const plain = schema({ anyOf: [rawVector.json, id.json] }, (value, at): Near => {
    if (typeof value === "number" || typeof value === "string")
      return { kind: "point", id: id.read(value, at) };
    return { kind: "raw", values: rawVector.read(value, at), at };
  });
  const nearest = object({ nearest: required(plain), mmr: lacking("maximal marginal relevance") });
  return schema({ anyOf: [plain.json, nearest.json] }, (value, at) => {
    if (!isObject(value)) return plain.read(value, at);
    for (const kind of OTHER_QUERIES) if (kind in value) throw unsupported(`\`${kind}\` queries`, at);
    return "nearest" in value ? nearest.read(value, at).nearest : plain.read(value, at);
  });
}

const OTHER_QUERIES = [
  "recommend",
  "discover",
  "context",
  "order_by",
  "fusion",
  "rrf",
  "formula",
  "sample",
  "relevance_feedback",
];

function draft(body: Common, near: Near): SearchDraft {
  const { limit, offset, params: chosen, score_threshold, with_payload, with_vector } = body;
  const rest = {
    limit,
    offset,
    ef: chosen?.hnsw_ef ?? null,
    exact: chosen?.exact ?? false,
    scoreThreshold: score_threshold,
    withPayload: with_payload,
    withVector: with_vector,
  };
  return {
    build: (dimension) =>
      near.kind === "point"
        ? { near, ...rest }
        : {
            near: { kind: "vector", vector: vectorFrom(near.values, dimension, () => named(near.at)) },
            ...rest,
          },
  };
}
