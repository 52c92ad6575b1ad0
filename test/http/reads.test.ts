import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CITY, errorOf, startRest, type Rest, type RestAnswer } from "../support/rest.ts";

let rest: Rest;
const POINTS = "/collections/reads/points";
beforeAll(async () => {
  rest = await startRest();
  await rest.call("PUT", "/collections/reads", CITY);
  const points = [
    { id: 1, vector: [1, 0, 0, 0], payload: { a: 1, b: { c: 2, d: 3 } } },
    { id: 2, vector: [2, 0, 0, 0] },
    { id: 3, vector: [2, 0, 0, 0] },
    { id: "x", vector: [2, 0, 0, 0] },
  ];
  await rest.call("PUT", POINTS, { points });
});
afterAll(() => rest[Symbol.asyncDispose]());

const query = (body: object, search = ""): Promise<RestAnswer> =>
  rest.call("POST", `${POINTS}/query${search}`, body);
const hitsOf = (answer: RestAnswer): readonly { readonly id: unknown }[] =>
  (answer.body.result as { points: { id: unknown }[] }).points;

describe("searches", () => {
  test("hits have id, version and score, and nothing that was not asked for", async () => {
    const answer = await query({ query: [1, 0, 0, 0], limit: 1, offset: 3 });
    expect(answer.body.result).toEqual({ points: [{ id: 1, version: 1, score: 1 }] });
  });

  test("equal scores come in order of id: numbers, then strings", async () => {
    expect(hitsOf(await query({ query: [1, 0, 0, 0] })).map(({ id }) => id)).toEqual([2, 3, "x", 1]);
  });

  test.each<[selector: unknown, payload: unknown]>([
    [true, { a: 1, b: { c: 2, d: 3 } }],
    [["a"], { a: 1 }],
    [{ include: ["b.c"] }, { b: { c: 2 } }],
    [{ exclude: ["b.c"] }, { a: 1, b: { d: 3 } }],
    [false, undefined],
    [null, undefined],
  ])("with_payload %j answers %j", async (with_payload, payload) => {
    const answer = await query({ query: [1, 0, 0, 0], limit: 1, offset: 3, with_payload });
    expect(hitsOf(answer)[0]).toEqual(
      payload === undefined ? { id: 1, version: 1, score: 1 } : { id: 1, version: 1, score: 1, payload },
    );
  });

  test("a point without payload has an empty one when asked for", async () => {
    expect(hitsOf(await query({ query: [1, 0, 0, 0], limit: 1, with_payload: true }))[0]).toMatchObject({
      payload: {},
    });
  });

  test("a point as query finds its neighbours and not itself; a missing one is 404", async () => {
    expect(hitsOf(await query({ query: 2, limit: 2 })).map(({ id }) => id)).toEqual([3, "x"]);
    expect(hitsOf(await query({ query: { nearest: "x" } })).map(({ id }) => id)).toEqual([2, 3, 1]);
    const missing = await query({ query: 99 });
    expect([missing.status, errorOf(missing).error]).toEqual([404, "Not found: No point with id 99 found"]);
  });

  test("a batch answers in its order, each with its own shape", async () => {
    const searches = [
      { query: 2, limit: 1, with_vector: true },
      { query: [1, 0, 0, 0], limit: 1 },
    ];
    const answer = await rest.call("POST", `${POINTS}/query/batch`, { searches });
    expect(answer.body.result).toEqual([
      { points: [{ id: 3, version: 1, score: 4, vector: [2, 0, 0, 0] }] },
      { points: [{ id: 2, version: 1, score: 2 }] },
    ]);
    const bare = await rest.call("POST", `${POINTS}/search/batch`, {
      searches: [{ vector: [1, 0, 0, 0], limit: 1 }],
    });
    expect(bare.body.result).toEqual([[{ id: 2, version: 1, score: 2 }]]);
    const empty = await rest.call("POST", `${POINTS}/search/batch`, { searches: [] });
    expect(empty.body.result).toEqual([]);
  });

  test("an error in a batch names its query", async () => {
    const searches = [{ query: [1, 0, 0, 0] }, { query: [1, 0, "0", 0] }];
    const answer = await rest.call("POST", `${POINTS}/query/batch`, { searches });
    expect(errorOf(answer).error).toBe(
      "Wrong input: element 2 of `searches[1].query` must be a number, not a string",
    );
    const deep = await rest.call("POST", `${POINTS}/query/batch`, {
      searches: [{ query: [1, 0, 0, 0] }, { query: [1, 0, 0, 0], limit: 10_001 }],
    });
    expect(errorOf(deep).error).toContain("of query 1");
  });

  test.each<[body: object, status: number, word: string]>([
    [{ query: [1, 0, 0, 0], limit: 0 }, 422, "`limit`"],
    [{ query: [1, 0, 0, 0], limit: 1.5 }, 422, "`limit`"],
    [{ query: [1, 0, 0, 0], limit: "3" }, 400, "`limit`"],
    [{ query: [1, 0, 0, 0], offset: -1 }, 422, "`offset`"],
    [{ query: [1, 0, 0, 0], params: { hnsw_ef: 0 } }, 422, "`params.hnsw_ef`"],
    [{ query: [1, 0, 0, 0], params: { ef: 10 } }, 400, "did you mean `hnsw_ef`"],
    [{ query: [1, 0, 0, 0], with_payloads: true }, 400, "did you mean `with_payload`"],
    [{ query: [1, 0, 0, 0], with_payload: "a" }, 400, "`with_payload`"],
    [{ query: [1, 0, 0, 0], with_payload: { include: ["a"], exclude: ["b"] } }, 400, "either `include` or"],
    [
      { query: [1, 0, 0, 0], zzz: 1 },
      400,
      "known are query, params, score_threshold, limit, offset, with_payload, with_vector",
    ],
    [{ query: [1, 0, 0, 0], score_threshold: "1" }, 400, "`score_threshold`"],
    [{ query: true }, 400, "`query`"],
    [{ query: -1 }, 422, "`query`"],
    [{ query: { nearest: null } }, 400, "`query.nearest`"],
    [{ query: [1, 0, 0] }, 422, "expected dim: 4, got 3"],
    [{ query: [] }, 422, "expected dim: 4, got 0"],
  ])("%j is %d", async (body, status, word) => {
    const answer = await query(body);
    expect(answer.status).toBe(status);
    expect(errorOf(answer).error).toContain(word);
  });
});

describe("pages and lists", () => {
  test("retrieve keeps the order asked for and leaves out what is not there", async () => {
    const answer = await rest.call("POST", POINTS, { ids: ["x", 9, 1], with_payload: ["a"] });
    expect(answer.body.result).toEqual([
      { id: "x", version: 1, payload: {} },
      { id: 1, version: 1, payload: { a: 1 } },
    ]);
  });

  test("scroll answers a page and where the next one begins", async () => {
    const first = await rest.call("POST", `${POINTS}/scroll`, { limit: 3, with_payload: false });
    expect(first.body.result).toEqual({
      points: [1, 2, 3].map((id) => ({ id, version: 1 })),
      next_page_offset: "x",
    });
    const last = await rest.call("POST", `${POINTS}/scroll`, {
      offset: "x",
      with_payload: false,
      with_vector: true,
    });
    expect(last.body.result).toEqual({
      points: [{ id: "x", version: 1, vector: [2, 0, 0, 0] }],
      next_page_offset: null,
    });
  });

  test("count is exact, whether asked to be or not", async () => {
    for (const body of [{}, { exact: false }, { filter: {} }])
      expect((await rest.call("POST", `${POINTS}/count`, body)).body.result).toEqual({ count: 4 });
  });
});

describe("consistency", () => {
  test.each<[words: string, level: string]>([
    ["", "leader"],
    ["?consistency=leader", "leader"],
    ["?consistency=eventual", "eventual"],
    ["?consistency=1", "eventual"],
    ["?consistency=linearizable", "linearizable"],
    ["?consistency=majority", "linearizable"],
    ["?consistency=quorum", "linearizable"],
    ["?consistency=all", "linearizable"],
    ["?consistency=3", "linearizable"],
  ])("%s is %s", async (words, level) => {
    expect((await query({ query: 1 }, words)).status).toBe(200);
    expect(rest.cluster.lastRead?.consistency).toEqual({ level });
  });

  test("session brings along what was seen", async () => {
    const body = { query: [1, 0, 0, 0] };
    await rest.call("POST", `${POINTS}/query?consistency=session`, body, { "x-flotilla-index": "0=12, 3=7" });
    expect(rest.cluster.lastRead?.consistency).toEqual({
      level: "session",
      atLeast: [
        { shard: 0, index: 12 },
        { shard: 3, index: 7 },
      ],
    });
    await query(body, "?consistency=session");
    expect(rest.cluster.lastRead?.consistency).toEqual({ level: "session", atLeast: [] });
  });

  test.each(["0", "x=1", "1=", "1=2;3=4", "1=99999999999999999"])(
    "X-Flotilla-Index: %s is refused",
    async (value) => {
      const answer = await rest.call("POST", `${POINTS}/count`, {}, { "x-flotilla-index": value });
      expect(answer.status).toBe(400);
      expect(errorOf(answer).error).toContain("X-Flotilla-Index");
    },
  );

  test.each([
    "consistency=strong",
    "consistency=0",
    "consistency=",
    "consistancy=all",
    "timeout=0",
    "timeout=x",
    "consistency=all&consistency=all",
  ])("?%s is refused", async (words) => {
    expect((await query({ query: 1 }, `?${words}`)).status).toBe(400);
  });

  test.each(["wait=maybe", "wait=", "ordering=strongest", "waits=true", "consistency=all"])(
    "a write with ?%s is refused",
    async (words) => {
      const answer = await rest.call("POST", `${POINTS}/delete?${words}`, { points: [77] });
      expect(answer.status).toBe(400);
    },
  );
});
