/** A real node under requests made from its own OpenAPI document, and under what is no HTTP. */
import fc from "fast-check";
import { Agent, request } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Json } from "../support/json-schema.ts";
import { disagreements } from "../support/openapi-answers.ts";
import { ANSWER_WITHIN_MS, Subject } from "./support/subject.ts";
import { brokenConnections } from "./support/broken-http.ts";
import { requestsOf, type FuzzRequest } from "./support/requests.ts";
import { LONG, rounds, within } from "./support/rounds.ts";

/** Of 20 s for all of them in tests, and 10 minutes in the long form; the wire has the rest. */
const HALF = { shortMs: 6_000, longMs: 180_000 };
const RUNS_PER_ROUND = 60;
const TOGETHER = 6;

let subject: Subject;
let agent: Agent;
let document: Json;
beforeAll(async () => {
  subject = await Subject.start();
  agent = new Agent({ connections: 2 * TOGETHER, pipelining: 1 });
  document = (await (await fetch(`${subject.node.url}/openapi.json`)).json()) as Json;
});
afterAll(async () => {
  await agent.destroy();
  await subject[Symbol.asyncDispose]();
});

/** What is wrong with the answer; null: nothing. */
async function wrongWith({ method, route, path, headers, body }: FuzzRequest): Promise<string | null> {
  const what = `${method} ${path.slice(0, 300)} ${JSON.stringify(headers)}`;
  const options = { method: method as "GET", headers, body, dispatcher: agent };
  const answer = await within(
    ANSWER_WITHIN_MS,
    what,
    request(`${subject.node.url}${path}`, options).then(async (response) => {
      return {
        status: response.statusCode,
        contentType: String(response.headers["content-type"] ?? ""),
        text: await response.body.text(),
      };
    }),
  );
  const { status, contentType, text } = answer;
  if (status >= 500 && status !== 503 && status !== 507) return `${what}: ${status} ${text}`;
  const json = contentType.startsWith("application/json");
  const parsed: unknown = json ? JSON.parse(text) : undefined;
  // A path of odd names may be another route's, or none.
  const code = ((parsed as Json | undefined)?.["status"] as Json | undefined)?.["code"];
  if (status === 404 || status === 405 || code === "UNSUPPORTED")
    return json ? null : `${what}: ${status} without an envelope`;
  const found = disagreements(document, method, route, { status, contentType, body: parsed });
  return found.length === 0 ? null : `${what}: ${status} ${text.slice(0, 500)}: ${found.join("; ")}`;
}

async function fuzz(seed: number): Promise<void> {
  const property = fc.asyncProperty(
    fc.array(requestsOf(document), { minLength: 1, maxLength: TOGETHER }),
    async (requests) => {
      const found = await Promise.all(requests.map(wrongWith));
      expect(found.filter((one) => one !== null)).toEqual([]);
    },
  );
  await fc.assert(property, { seed, numRuns: RUNS_PER_ROUND, interruptAfterTimeLimit: 60_000 });
  await subject.check();
}

/** Collections hold memory by right. */
async function dropAll(): Promise<void> {
  const { body } = await subject.client.call("GET", "/collections");
  const { collections } = body.result as { readonly collections: readonly { readonly name: string }[] };
  for (const { name } of collections)
    if (name !== "kept") await subject.client.drop(encodeURIComponent(name));
}

test(
  "requests from the document, well-formed and not, are answered as it says",
  async () => {
    await fuzz(0);
    await fuzz(-1);
    await dropAll();
    await agent.close();
    await subject.remember();
    agent = new Agent({ connections: 2 * TOGETHER, pipelining: 1 });
    await rounds(HALF, async (seed) => {
      await fuzz(seed);
      await dropAll();
    });
    await agent.close();
    await subject.checkHeld();
  },
  LONG ? 400_000 : 90_000,
);

test(
  "connections that break the rules of HTTP are answered or closed, and none is left",
  async () => {
    await brokenConnections(subject, 0);
    await subject.remember();
    await rounds({ shortMs: 3_000, longMs: 120_000 }, async (seed) => {
      await brokenConnections(subject, seed);
      await subject.check();
    });
    await subject.checkHeld();
  },
  LONG ? 300_000 : 90_000,
);
