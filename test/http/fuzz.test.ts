/** Whatever a body says, the answer is an envelope: never a 500, never a hang. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { routes } from "../../src/http/routes.ts";
import { CITY, startRest, type Rest } from "../support/rest.ts";

const table = routes({ limits: limits(), metricsText: () => Promise.resolve("") });
const withBody = table.filter(({ body, rule }) => body !== null && rule.action !== "manage");

let rest: Rest;
beforeAll(async () => {
  rest = await startRest();
  await rest.call("PUT", "/collections/1", CITY);
  await rest.call("PUT", "/collections/1/points", { points: [{ id: 1, vector: [1, 2, 3, 4] }] });
});
afterAll(() => rest[Symbol.asyncDispose]());

const vector = fc.oneof(
  fc.constant([1, 2, 3, 4]),
  fc.array(fc.double(), { maxLength: 5 }),
  fc.constantFrom<unknown>(
    [1, 2, 3, 1e39],
    [1, 2, 3, "4"],
    [[1]],
    { a: [1] },
    { indices: [], values: [] },
    null,
  ),
);
const id = fc.oneof(
  fc.integer(),
  fc.string(),
  fc.uuid(),
  fc.constantFrom<unknown>(2 ** 60, "", "\ud800", null),
);
const point = fc.record({ id, vector, payload: fc.jsonValue({ maxDepth: 3 }) }, { requiredKeys: [] });
/** Fields of all bodies with values that fit, nearly fit, or do not: most combinations reach beyond the first check. */
const fields = {
  points: fc.oneof(fc.array(point, { maxLength: 3 }), fc.array(id, { maxLength: 3 })),
  batch: fc.record({ ids: fc.array(id, { maxLength: 2 }), vectors: fc.array(vector, { maxLength: 2 }) }),
  ids: fc.array(id, { maxLength: 3 }),
  vector,
  query: fc.oneof(vector, id, fc.record({ nearest: vector })),
  limit: fc.oneof(fc.integer(), fc.double(), fc.constant("3")),
  offset: fc.oneof(fc.nat(20), id),
  with_payload: fc.oneof(
    fc.boolean(),
    fc.array(fc.string()),
    fc.dictionary(fc.constantFrom("include", "exclude"), fc.array(fc.string())),
  ),
  with_vector: fc.oneof(fc.boolean(), fc.array(fc.string())),
  score_threshold: fc.double(),
  params: fc.record({ hnsw_ef: fc.integer(), exact: fc.boolean() }),
  payload: fc.jsonValue({ maxDepth: 4 }),
  keys: fc.array(fc.string()),
  key: fc.string(),
  filter: fc.constantFrom<unknown>({}, null, { must: [] }),
  if_version: fc.oneof(fc.integer(), fc.constant(null)),
};
const flat = fc.record(fields, { requiredKeys: [] });
const nested = fc.oneof(
  fc.record({ searches: fc.array(flat, { maxLength: 2 }) }),
  fc.record({
    operations: fc.array(
      fc.dictionary(
        fc.constantFrom("upsert", "delete", "set_payload", "update_vectors", "clear_payload"),
        flat,
        { maxKeys: 2 },
      ),
      { maxLength: 3 },
    ),
  }),
);
/** Only the fields a route knows, mostly: one unknown field ends every attempt at once. */
const bodyFor = (json: unknown): fc.Arbitrary<unknown> => {
  const known = Object.keys((json as { readonly properties?: object }).properties ?? {});
  const own = Object.fromEntries(Object.entries(fields).filter(([name]) => known.includes(name)));
  const fitting = fc.record(own, { requiredKeys: [] });
  return fc.oneof({ weight: 6, arbitrary: fitting }, { weight: 3, arbitrary: nested }, flat, fc.jsonValue());
};

test.each(withBody.map((route) => [`${route.method} ${route.url}`, route] as const))(
  "%s",
  async (_name, route) => {
    const path = route.url.replace(/:[a-z]+/g, "1");
    await fc.assert(
      fc.asyncProperty(bodyFor(route.body), async (body) => {
        const answer = await rest.call(route.method, path, body);
        expect([200, 400, 404, 412, 413, 422]).toContain(answer.status);
        expect(answer.body.time).toBeTypeOf("number");
        if (answer.status !== 200) expect(answer.body.status).toMatchObject({ error: expect.any(String) });
      }),
      { seed: 20, numRuns: 60 },
    );
  },
);

test("bodies cut or changed at any byte are 400 or as good as before", async () => {
  const good = Buffer.from(
    '{"points":[{"id":"\u00e9","vector":[1,2.5,-3e1,4],"payload":{"a":["\\u00e9\\n",null]}}]}',
  );
  const change = fc.record({ at: fc.nat(good.length - 1), byte: fc.nat(255), cut: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 3 }), async (changes) => {
      let bytes = Buffer.from(good);
      for (const { at, byte, cut } of changes) {
        if (at >= bytes.length) continue;
        if (cut) bytes = bytes.subarray(0, at);
        else bytes[at] = byte;
      }
      const answer = await rest.raw("PUT", "/collections/1/points", bytes, {
        "content-type": "application/json",
      });
      expect([200, 400, 413, 422]).toContain(answer.status);
    }),
    { seed: 21, numRuns: 300 },
  );
});

test("none of it was a defect", () => {
  expect(rest.logged.filter(({ msg }) => msg === "request failed by a defect")).toEqual([]);
});
