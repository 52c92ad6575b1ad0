/** What Qdrant has and Flotilla refuses: the README's table is made of this, and a test sends each of the requests. */
export interface Refusal {
  readonly feature: string;
  /** Below `/collections/c`; the README shows it shortened. */
  readonly request: readonly [method: string, path: string, body?: object];
  /** After "Not supported: ". */
  readonly says: string;
}

const vector = [1, 2, 3, 4];
const points = [1];
const filter = { must: [{ key: "city", match: { value: "London" } }] };
const shape = { size: 4, distance: "Dot" };

export const REFUSALS: readonly Refusal[] = [
  {
    feature: "Filters",
    request: ["POST", "/points/query", { query: vector, filter }],
    says: "`filter`: Flotilla does not have filters yet (only {})",
  },
  {
    feature: "Changes by filter",
    request: ["POST", "/points/delete", { filter }],
    says: "`filter`: Flotilla does not have changes by filter yet",
  },
  {
    feature: "Payload indexes",
    request: ["PUT", "/index", { field_name: "city" }],
    says: "PUT /collections/c/index: Flotilla does not have payload indexes yet",
  },
  {
    feature: "Order by payload",
    request: ["POST", "/points/scroll", { order_by: "year" }],
    says: "`order_by`: Flotilla does not have an order other than that of ids",
  },
  {
    feature: "Prefetch",
    request: ["POST", "/points/query", { prefetch: { query: vector } }],
    says: "`prefetch`: Flotilla does not have prefetch (only [])",
  },
  {
    feature: "Fusion",
    request: ["POST", "/points/query", { query: { fusion: "rrf" } }],
    says: "`query`: Flotilla does not have `fusion` queries",
  },
  {
    feature: "Recommendations",
    request: ["POST", "/points/recommend", { positive: points }],
    says: "POST /collections/c/points/recommend: Flotilla does not have recommendations",
  },
  {
    feature: "Discovery",
    request: ["POST", "/points/discover", { target: 1 }],
    says: "POST /collections/c/points/discover: Flotilla does not have discovery",
  },
  {
    feature: "Groups",
    request: ["POST", "/points/query/groups", { group_by: "city" }],
    says: "POST /collections/c/points/query/groups: Flotilla does not have grouping of hits",
  },
  {
    feature: "Facets",
    request: ["POST", "/facet", { key: "city" }],
    says: "POST /collections/c/facet: Flotilla does not have facets",
  },
  {
    feature: "Inference",
    request: ["POST", "/points/query", { query: { text: "x", model: "m" } }],
    says: "`query`: Flotilla does not have inference: send the vector itself",
  },
  {
    feature: "Named vectors",
    request: ["PUT", "", { vectors: { image: shape } }],
    says: "`vectors`: Flotilla does not have named vectors (`image`)",
  },
  {
    feature: "Sparse vectors",
    request: ["PUT", "", { vectors: shape, sparse_vectors: { text: {} } }],
    says: "`sparse_vectors`: Flotilla does not have sparse vectors (only {})",
  },
  {
    feature: "Multivectors",
    request: ["PUT", "/points", { points: [{ id: 1, vector: [vector] }] }],
    says: "`points[0].vector`: Flotilla does not have multivectors",
  },
  {
    feature: "Points without a vector",
    request: ["POST", "/points/vectors/delete", { points, vector: [""] }],
    says: "POST /collections/c/points/vectors/delete: Flotilla does not have points without a vector",
  },
  {
    feature: "Quantization",
    request: ["PUT", "", { vectors: shape, quantization_config: { scalar: { type: "int8" } } }],
    says: "`quantization_config`: Flotilla does not have quantization",
  },
  {
    feature: "Manhattan distance",
    request: ["PUT", "", { vectors: { size: 4, distance: "Manhattan" } }],
    says: "`vectors.distance`: Flotilla does not have `Manhattan` here",
  },
  {
    feature: "Shard keys",
    request: ["PUT", "", { vectors: shape, sharding_method: "custom" }],
    says: '`sharding_method`: Flotilla does not have custom sharding (only "auto")',
  },
  {
    feature: "A write consistency above the majority",
    request: ["PUT", "", { vectors: shape, replication_factor: 3, write_consistency_factor: 3 }],
    says: "`write_consistency_factor` 3: a write needs the majority of replicas, 2 of 3",
  },
  {
    feature: "Snapshots",
    request: ["POST", "/snapshots"],
    says: "POST /collections/c/snapshots: Flotilla does not have snapshots by request",
  },
];

/** Rows of Markdown cells. */
export const refusalRows = (): readonly (readonly string[])[] =>
  REFUSALS.map(({ feature, request: [method, path, body], says }) => [
    feature,
    `\`${method} /collections/c${path}\`${body === undefined ? "" : ` \`${JSON.stringify(body)}\``}`,
    says,
  ]);
