/** The process that plays the clients: it keeps connections open, has its requests ready and only counts and times. */
import { HttpClient } from "../http-client.ts";
import type { HttpAnswer } from "../http-client.ts";
import { collectionPath, isRecord, resultOf } from "../rest.ts";
import { vectorJson } from "../vector-json.ts";
import { answerQuestions } from "./child.ts";
import { NO_HIT } from "./statistics.ts";
import { readVectorFile } from "./vector-file.ts";
import type { VectorFile } from "./vector-file.ts";

export interface LoadAsk {
  readonly url: string;
  readonly apiKey?: string | undefined;
  readonly collection: string;
  readonly queries: VectorFile;
  readonly k: number;
  /** null: the node's default. */
  readonly ef: number | null;
  readonly exact?: boolean;
  /** Requests in flight at once, each on its own connection. */
  readonly clients: number;
  /** Goes over the queries again until this much time was measured. */
  readonly minSeconds: number;
  /** Stops in the middle of the queries once the time is over: for a load that only has to last. */
  readonly stopAtTime?: boolean;
}

export interface LoadAnswer {
  /** Row numbers of the first pass; NO_HIT where an answer was shorter or did not come. */
  readonly ids: Uint32Array;
  /** Answered with hits. */
  readonly searches: number;
  /** Answered otherwise: a refusal comes fast, and is neither a search done nor a latency. */
  readonly failures: number;
  readonly seconds: number;
  readonly latenciesMs: Float64Array;
}

/** Requests kept ready, by what they ask: a grid asks the same queries again and again. */
let vectors: { readonly file: string; readonly json: readonly string[] } | null = null;

function vectorTexts(queries: VectorFile): readonly string[] {
  if (vectors?.file === queries.file) return vectors.json;
  const values = readVectorFile(queries);
  const { dimension } = queries;
  const json = Array.from({ length: queries.count }, (_, row) =>
    vectorJson(values, row * dimension, (row + 1) * dimension),
  );
  vectors = { file: queries.file, json };
  return json;
}

async function load(ask: LoadAsk): Promise<LoadAnswer> {
  using client = new HttpClient({ url: ask.url, apiKey: ask.apiKey, connections: ask.clients });
  const params = { ...(ask.ef === null ? {} : { hnsw_ef: ask.ef }), exact: ask.exact === true };
  const rest = `"limit":${ask.k},"params":${JSON.stringify(params)},"with_payload":false}`;
  const path = collectionPath(ask.collection, "/points/search");
  const requests = vectorTexts(ask.queries).map((text) =>
    client.encode("POST", path, `{"vector":${text},${rest}`),
  );
  // The first pass's answers are taken apart after the measurement.
  const answers: (HttpAnswer | null)[] = Array.from({ length: requests.length }, () => null);
  const latencies: number[] = [];
  let failures = 0;
  let next = 0;
  const started = performance.now();
  const deadline = started + ask.minSeconds * 1000;
  const more = () => {
    if (ask.stopAtTime === true) return performance.now() < deadline;
    return next % requests.length !== 0 || next === 0 || performance.now() < deadline;
  };
  const worker = async (): Promise<void> => {
    while (more()) {
      const turn = next++;
      const before = performance.now();
      const answer = await client.exchange(requests[turn % requests.length] as Buffer);
      if (answer.status === 200) latencies.push(performance.now() - before);
      else failures++;
      if (turn < requests.length) answers[turn] = answer;
    }
  };
  await Promise.all(Array.from({ length: ask.clients }, worker));
  const seconds = (performance.now() - started) / 1000;
  return {
    ids: idsOf(answers, ask.k),
    searches: latencies.length,
    failures,
    seconds,
    latenciesMs: Float64Array.from(latencies),
  };
}

function idsOf(answers: readonly (HttpAnswer | null)[], k: number): Uint32Array {
  const ids = new Uint32Array(answers.length * k).fill(NO_HIT);
  answers.forEach((answer, query) => {
    if (answer?.status !== 200) return;
    const hits = resultOf(answer, "search");
    if (!Array.isArray(hits)) throw new Error("a search answers with an array of hits");
    hits.slice(0, k).forEach((hit: unknown, place) => {
      if (isRecord(hit) && typeof hit["id"] === "number") ids[query * k + place] = hit["id"];
    });
  });
  return ids;
}

answerQuestions<LoadAsk>(load);
