/** JSON lines: one point per line, `{"id": ..., "vector": [...], "payload": {...}}`; id and payload may be left out. */
import { ByteReader } from "./byte-reader.ts";
import { checkDimension, DatasetError } from "./source.ts";
import type { BatchOptions, VectorBatch, VectorSource } from "./source.ts";
import type { Payload, PointId } from "../engine/types.ts";

/** 65,536 numbers of 24 characters and a payload of six megabytes. */
export const LINE_BYTES_MAX = 8 << 20;
/** Lines of one batch, so that a few thousand long payloads are not one request; the last line may exceed it. */
const BATCH_BYTES_AIM = 8 << 20;
const ID_BYTES_MAX = 512;
const READ_BYTES = 1 << 18;
const FIELDS = ["id", "vector", "payload"];

interface Line {
  /** Counted from 1, blank ones included. */
  readonly number: number;
  readonly text: string;
}

interface Row {
  readonly id: PointId | null;
  readonly vector: readonly unknown[];
  readonly payload: Payload | null;
}

/** The first line decides on the dimension and on whether the lines carry ids. */
export async function openJsonl(file: string): Promise<VectorSource> {
  for await (const line of lines(file)) {
    const row = parseRow(file, line);
    checkDimension(file, `line ${line.number}`, row.vector.length);
    const shape = { dimension: row.vector.length, hasIds: row.id !== null };
    return {
      file,
      format: "jsonl",
      dimension: shape.dimension,
      rows: null,
      batches: (options) => readJsonl(file, shape, options),
    };
  }
  throw new DatasetError(file, "the end", "no line with a point was found");
}

async function* readJsonl(
  file: string,
  shape: { readonly dimension: number; readonly hasIds: boolean },
  options: BatchOptions,
): AsyncGenerator<VectorBatch> {
  const { dimension, hasIds } = shape;
  const skip = options.skip ?? 0;
  const end = skip + (options.limit ?? Number.POSITIVE_INFINITY);
  let row = 0;
  let first = skip;
  let vectors = new Float32Array(options.rows * dimension);
  let ids: PointId[] = [];
  let payloads: (Payload | null)[] = [];
  let characters = 0;
  const take = (): VectorBatch => ({
    first,
    count: payloads.length,
    dimension,
    vectors: vectors.slice(0, payloads.length * dimension),
    ids: hasIds ? ids : null,
    payloads,
  });
  for await (const line of lines(file)) {
    if (row >= end) break;
    if (row++ < skip) continue;
    const parsed = parseRow(file, line);
    if ((parsed.id !== null) !== hasIds)
      throw new DatasetError(
        file,
        `line ${line.number}`,
        `${hasIds ? "no id, but the first line has one" : "an id, but the first line has none"}; either all lines or none`,
      );
    fillVector(file, line, parsed.vector, vectors.subarray(payloads.length * dimension), dimension);
    if (parsed.id !== null) ids.push(parsed.id);
    payloads.push(parsed.payload);
    characters += line.text.length;
    if (payloads.length < options.rows && characters < BATCH_BYTES_AIM) continue;
    yield take();
    first = row;
    vectors = new Float32Array(options.rows * dimension);
    ids = [];
    payloads = [];
    characters = 0;
  }
  if (payloads.length > 0) yield take();
}

function parseRow(file: string, line: Line): Row {
  const fail = (problem: string) => new DatasetError(file, `line ${line.number}`, problem);
  let value: unknown;
  try {
    value = JSON.parse(line.text);
  } catch (cause) {
    throw fail(`not JSON (${(cause as Error).message}); one object per line is needed`);
  }
  if (!isObject(value)) throw fail(`an object like {"id":1,"vector":[...]} is needed`);
  const unknown = Object.keys(value).find((key) => !FIELDS.includes(key));
  if (unknown !== undefined) throw fail(`unknown field "${unknown}"; id, vector and payload are known`);
  const { vector, payload = null, id = null } = value;
  if (!Array.isArray(vector)) throw fail(`"vector" must be an array of numbers`);
  if (payload !== null && !isObject(payload)) throw fail(`"payload" must be an object`);
  if (id !== null && !isPointId(id))
    throw fail(`"id" must be a whole number from 0 to 2^53 - 1 or a string of 1 to ${ID_BYTES_MAX} bytes`);
  return { id, vector, payload: payload as Payload | null };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isPointId(id: unknown): id is PointId {
  if (typeof id === "number") return Number.isSafeInteger(id) && id >= 0;
  return typeof id === "string" && id.length > 0 && Buffer.byteLength(id) <= ID_BYTES_MAX;
}

function fillVector(
  file: string,
  line: Line,
  vector: readonly unknown[],
  into: Float32Array,
  dimension: number,
): void {
  const where = `line ${line.number}`;
  if (vector.length !== dimension)
    throw new DatasetError(
      file,
      where,
      `its vector has ${vector.length} numbers, that of the first line ${dimension}; all must agree`,
    );
  for (let i = 0; i < dimension; i++) {
    const value = vector[i];
    if (typeof value !== "number" || !Number.isFinite(Math.fround(value)))
      throw new DatasetError(
        file,
        `${where}, element ${i}`,
        `${JSON.stringify(value)} found where a finite float32 number is needed`,
      );
    into[i] = value;
  }
}

async function* lines(file: string): AsyncGenerator<Line> {
  await using reader = await ByteReader.open(file);
  let rest: Buffer[] = [];
  let restBytes = 0;
  let number = 0;
  for (;;) {
    const chunk = await reader.read(READ_BYTES);
    if (chunk.length === 0) break;
    let from = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, from)) {
      number++;
      const text = decode(file, number, [...rest, chunk.subarray(from, end)]);
      rest = [];
      restBytes = 0;
      from = end + 1;
      if (text !== "") yield { number, text };
    }
    rest.push(chunk.subarray(from));
    restBytes += chunk.length - from;
    if (restBytes > LINE_BYTES_MAX)
      throw new DatasetError(
        file,
        `line ${number + 1}`,
        `longer than ${LINE_BYTES_MAX} bytes; one point per line, each line ended by a newline`,
      );
  }
  const text = decode(file, number + 1, rest);
  if (text !== "") yield { number: number + 1, text };
}

function decode(file: string, number: number, parts: readonly Buffer[]): string {
  const bytes = parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts);
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes).trim();
  } catch (cause) {
    throw new DatasetError(file, `line ${number}`, "not valid UTF-8", { cause });
  }
}
