/**
 * The OpenAPI document, made of the same definitions that requests are read with and answers are described by, so that
 * it cannot fall behind them.
 */
import { ERRORS, type ErrorCode } from "../api/errors.ts";
import type { JsonValue } from "../api/types.ts";
import { arrayOf, COUNT, NUMBER, objectOf, orNull, STRING, type AnswerSchema } from "./answers.ts";
import { POINTS, type Route } from "./route.ts";
import { isObject, type JsonSchema } from "./schema.ts";

/** Errors of routes that change something, beside those of all. */
const OF_CHANGES: readonly ErrorCode[] = [
  "COLLECTION_EXISTS",
  "CONFLICT",
  "VERSION_CONFLICT",
  "OUT_OF_SPACE",
];
const OF_BODIES: readonly ErrorCode[] = ["TOO_LARGE"];
/** Of paths that no route takes. */
const OF_NO_ROUTE: readonly ErrorCode[] = ["ROUTE_NOT_FOUND", "METHOD_NOT_ALLOWED"];

export function openApi(routes: readonly Route[], version: string): { readonly [key: string]: JsonValue } {
  const paths: Record<string, Record<string, JsonValue>> = {};
  for (const route of routes) {
    const path = route.url.replace(/:([a-z]+)/g, "{$1}");
    (paths[path] ??= {})[route.method.toLowerCase()] = operation(route);
  }
  return {
    openapi: "3.1.0",
    info: {
      title: "Flotilla",
      version,
      description: "Vector search in which every shard is a Raft group.",
      license: { name: "Apache-2.0", identifier: "Apache-2.0" },
    },
    security: [{ apiKey: [] }, { bearer: [] }],
    paths,
    components: {
      securitySchemes: {
        apiKey: { type: "apiKey", in: "header", name: "api-key" },
        bearer: { type: "http", scheme: "bearer", bearerFormat: "a key or a JWT" },
      },
      schemas: { Error: ERROR },
    },
  };
}

function operation(route: Route): JsonValue {
  const { method, url, rule, summary, body } = route;
  const name = url.replace(/[^a-z]+/g, "_").replace(/^_|_$/g, "");
  return {
    operationId: `${method.toLowerCase()}_${name === "" ? "root" : name}`,
    summary,
    tags: [url.split("/")[1] === "collections" ? "collections" : "node and cluster"],
    ...(rule.action === "probe" ? { security: [] } : {}),
    parameters: [...pathParameters(url), ...queryParameters(route.query), ...headerParameters(route)],
    ...(body === null
      ? {}
      : { requestBody: { required: true, content: { "application/json": { schema: body } } } }),
    responses: responses(route),
  };
}

function pathParameters(url: string): readonly JsonValue[] {
  return [...url.matchAll(/:([a-z]+)/g)].map(([, name = ""]) => ({
    name,
    in: "path",
    required: true,
    schema: name === "shard" || name === "node" ? COUNT : STRING,
  }));
}

function queryParameters(query: JsonSchema): readonly JsonValue[] {
  const properties = isObject(query["properties"]) ? query["properties"] : {};
  return Object.entries(properties).map(([name, schema]) => ({
    name,
    in: "query",
    required: false,
    schema: schema as JsonSchema,
  }));
}

const has = (schema: JsonSchema | null, property: string): boolean =>
  isObject(schema?.["properties"]) && property in schema["properties"];
/** Writes of points alone can be sent on to the leader by their client. */
const writesPoints = ({ query }: Route): boolean => has(query, "redirect");

function headerParameters(route: Route): readonly JsonValue[] {
  const guards = has(route.body, "if_version");
  return [
    ...(has(route.query, "consistency")
      ? [header("X-Flotilla-Index", "With `consistency=session`: what writes answered, such as `0=12,1=30`.")]
      : []),
    ...(writesPoints(route)
      ? [header("Idempotency-Key", "The same key and request again are applied at most once.")]
      : []),
    ...(guards ? [header("If-Match", "Only if every point has this version, such as `5`.")] : []),
    ...(guards ? [header("If-None-Match", "`*`: only if no point exists.")] : []),
  ];
}

const header = (name: string, description: string): JsonValue => ({
  name,
  in: "header",
  required: false,
  description,
  schema: STRING,
});

type ResponseHeaders = { readonly [name: string]: JsonValue };

function headersOfSuccess(route: Route): ResponseHeaders {
  if (writesPoints(route))
    return {
      "X-Flotilla-Index": answered("The log index per shard: `0=12,1=30`."),
      "Idempotency-Replayed": answered("`true`: the write was there before, under this Idempotency-Key."),
    };
  return route.url === `${POINTS}/:id` ? { ETag: answered("The version, in quotes.") } : {};
}

function headersOfFailure(status: number): ResponseHeaders {
  if (status === 307) return { Location: answered("The same request at the leader.") };
  return status === 429 || status === 503 ? { "Retry-After": answered("Seconds.") } : {};
}

const answered = (description: string): JsonValue => ({ description, schema: STRING });
const withHeaders = (headers: ResponseHeaders): { readonly headers?: ResponseHeaders } =>
  Object.keys(headers).length === 0 ? {} : { headers };

function responses(route: Route): { readonly [status: string]: JsonValue } {
  const { answer } = route;
  const content = contentOf(answer);
  const byStatus = new Map<number, ErrorCode[]>();
  for (const code of codesOf(route)) {
    const { http } = ERRORS[code];
    byStatus.set(http, [...(byStatus.get(http) ?? []), code]);
  }
  const errors = [...byStatus]
    .sort(([a], [b]) => a - b)
    .map(([status, codes]) => [
      String(status),
      failed(status, codes, answer.kind === "text" && answer.alsoAt === status),
    ]);
  return {
    "200": { description: "Done.", ...withHeaders(headersOfSuccess(route)), content },
    ...(Object.fromEntries(errors) as Record<string, JsonValue>),
  };

  function failed(status: number, codes: readonly ErrorCode[], alsoAsText: boolean): JsonValue {
    const json = { "application/json": { schema: { $ref: "#/components/schemas/Error" } } };
    return {
      description: codes.map((code) => `${code}: ${ERRORS[code].meaning}`).join(" "),
      ...withHeaders(headersOfFailure(status)),
      content: alsoAsText ? { ...content, ...json } : json,
    };
  }
}

function codesOf(route: Route): readonly ErrorCode[] {
  const { rule, body } = route;
  const changes = rule.action === "write" || rule.action === "configure" || rule.action === "manage";
  return (Object.keys(ERRORS) as ErrorCode[]).filter((code) => {
    if (OF_NO_ROUTE.includes(code)) return false;
    if (code === "NOT_LEADER") return writesPoints(route);
    if (OF_CHANGES.includes(code)) return changes;
    return OF_BODIES.includes(code) ? body !== null : true;
  });
}

function contentOf(answer: AnswerSchema): { readonly [type: string]: JsonValue } {
  if (answer.kind === "text") return { [answer.type.split(";")[0] ?? ""]: { schema: STRING } };
  const schema =
    answer.kind === "bare"
      ? answer.json
      : objectOf({ result: answer.json, status: { type: "string", enum: ["ok"] }, time: NUMBER });
  return { "application/json": { schema } };
}

const ERROR: JsonSchema = objectOf(
  {
    status: objectOf({ error: STRING, code: { type: "string", enum: Object.keys(ERRORS) } }),
    time: NUMBER,
  },
  {
    shard: COUNT,
    leader: objectOf({ node_id: COUNT, http: STRING, grpc: STRING, term: COUNT }),
    unknown: arrayOf(objectOf({ shard: COUNT, term: orNull(COUNT), index: orNull(COUNT) })),
    shards: arrayOf(
      objectOf({
        shard: COUNT,
        applied: COUNT,
        entries: COUNT,
        code: orNull(STRING),
        message: orNull(STRING),
      }),
    ),
  },
);
