/**
 * The bytes of a log entry: who wrote it and a list of operations. Vectors of an operation lie in one contiguous
 * block of little-endian float32; payloads are canonical JSON text. A format of our own rather than a general one:
 * decoding is total and keeps no state, so any bytes give the same answer on every replica and every replay
 * (adr/0005).
 *
 *   entry     = 0xF1 version:u8 origin:text sequence:f64 operations:u32 operation*
 *   operation = kind:u8 flags:u8 [ifVersion:f64] body
 *   id        = 0 f64 | 1 text          text = bytes:u32 utf8
 */
import { ByteReader, ByteWriter, UnreadableEntry } from "./bytes.ts";
import { EngineInvariant, errorOf } from "./errors.ts";
import { canonicalJson, parsePayload } from "./json.ts";
import { STATE_LIMITS } from "./options.ts";
import type { Payload, PointId, WriteOp } from "./types.ts";

const MAGIC = 0xf1;
const VERSION = 1;
const KINDS = [
  "upsert",
  "updateVectors",
  "delete",
  "setPayload",
  "overwritePayload",
  "deletePayload",
  "clearPayload",
] as const satisfies readonly WriteOp["kind"][];
const HAS_VERSION = 1;
const HAS_KEY = 2;

/** What one entry of a shard's log says. `origin` and `sequence` together make it apply at most once. */
export interface EntryContent {
  /** Opaque: a process run or an idempotency key, at most 256 bytes; empty: never taken for a duplicate. */
  readonly origin: string;
  readonly sequence: number;
  readonly operations: readonly WriteOp[];
}

export type DecodedEntry =
  | { readonly kind: "entry"; readonly content: EntryContent }
  | { readonly kind: "unreadable"; readonly why: string };

/** Throws RangeError for what {@link decodeEntry} would refuse: callers check their input before. */
export function encodeEntry(content: EntryContent): Uint8Array {
  const out = new ByteWriter();
  out.u8(MAGIC);
  out.u8(VERSION);
  out.text(content.origin, STATE_LIMITS.originBytesMax, "an origin");
  out.f64(content.sequence);
  out.u32(content.operations.length);
  for (const operation of content.operations) encodeOperation(out, operation);
  return out.finish();
}

/** Total: bytes that are no entry are answered with the reason. The vectors are copies, free of the entry's bytes. */
export function decodeEntry(data: Uint8Array): DecodedEntry {
  try {
    return { kind: "entry", content: readEntry(new ByteReader(data)) };
  } catch (thrown) {
    if (!(thrown instanceof UnreadableEntry))
      throw new EngineInvariant("decoding is total", { cause: thrown });
    return { kind: "unreadable", why: errorOf(thrown).message };
  }
}

function readEntry(from: ByteReader): EntryContent {
  if (from.u8() !== MAGIC) throw new UnreadableEntry("these bytes are no entry of a shard's log");
  const version = from.u8();
  if (version !== VERSION) throw new UnreadableEntry(`entry format ${version} is not known, ${VERSION} is`);
  const origin = from.text(STATE_LIMITS.originBytesMax, "an origin");
  const sequence = from.f64();
  if (!Number.isSafeInteger(sequence) || sequence < 0)
    throw new UnreadableEntry("a sequence is a whole number from 0 to 2^53 - 1");
  const count = from.count(2, STATE_LIMITS.operationsPerEntry, "operations");
  const operations: WriteOp[] = [];
  for (let at = 0; at < count; at++) operations.push(readOperation(from));
  from.end();
  return { origin, sequence, operations };
}

function encodeOperation(out: ByteWriter, op: WriteOp): void {
  const key = op.kind === "setPayload" ? op.key : undefined;
  out.u8(KINDS.indexOf(op.kind));
  out.u8((op.ifVersion === undefined ? 0 : HAS_VERSION) | (key === undefined ? 0 : HAS_KEY));
  if (op.ifVersion !== undefined) out.f64(op.ifVersion);
  switch (op.kind) {
    case "upsert":
      encodeIds(
        out,
        op.points.map((point) => point.id),
      );
      for (const { payload } of op.points) encodePayload(out, payload);
      return encodeVectors(out, op.points);
    case "updateVectors":
      encodeIds(
        out,
        op.points.map((point) => point.id),
      );
      return encodeVectors(out, op.points);
    case "setPayload":
      if (key !== undefined) out.text(key, STATE_LIMITS.payloadBytesMax, "a payload path");
      encodePayload(out, op.payload);
      return encodeIds(out, op.ids);
    case "overwritePayload":
      encodePayload(out, op.payload);
      return encodeIds(out, op.ids);
    case "deletePayload":
      out.u32(op.keys.length);
      for (const one of op.keys) out.text(one, STATE_LIMITS.payloadBytesMax, "a payload key");
      return encodeIds(out, op.ids);
    case "delete":
    case "clearPayload":
      return encodeIds(out, op.ids);
  }
}

function readOperation(from: ByteReader): WriteOp {
  const kind = KINDS[from.u8()];
  if (kind === undefined) throw new UnreadableEntry("no such kind of operation");
  const flags = from.u8();
  if (flags > (kind === "setPayload" ? 3 : 1))
    throw new UnreadableEntry(`no such flags of ${kind}: ${flags}`);
  const ifVersion = (flags & HAS_VERSION) === 0 ? {} : { ifVersion: readVersion(from) };
  switch (kind) {
    case "upsert": {
      const ids = readIds(from);
      const payloads = ids.map(() => readPayload(from));
      const vectors = readVectors(from, ids.length);
      const points = ids.map((id, at) => ({
        id,
        vector: vectors(at),
        payload: payloads[at] ?? null,
      }));
      return { kind, points, ...ifVersion };
    }
    case "updateVectors": {
      const ids = readIds(from);
      const vectors = readVectors(from, ids.length);
      return { kind, points: ids.map((id, at) => ({ id, vector: vectors(at) })), ...ifVersion };
    }
    case "setPayload": {
      const key =
        (flags & HAS_KEY) === 0 ? {} : { key: from.text(STATE_LIMITS.payloadBytesMax, "a payload path") };
      const payload = readPayload(from) ?? {};
      return { kind, payload, ids: readIds(from), ...key, ...ifVersion };
    }
    case "overwritePayload": {
      const payload = readPayload(from) ?? {};
      return { kind, payload, ids: readIds(from), ...ifVersion };
    }
    case "deletePayload": {
      const keys: string[] = [];
      const count = from.count(4, STATE_LIMITS.pointsPerEntry, "payload keys");
      for (let at = 0; at < count; at++) keys.push(from.text(STATE_LIMITS.payloadBytesMax, "a payload key"));
      return { kind, keys, ids: readIds(from), ...ifVersion };
    }
    case "delete":
    case "clearPayload":
      return { kind, ids: readIds(from), ...ifVersion };
  }
}

function readVersion(from: ByteReader): number {
  const version = from.f64();
  if (!Number.isSafeInteger(version) || version < 0)
    throw new UnreadableEntry("a version is a whole number from 0 to 2^53 - 1");
  return version;
}

function encodeIds(out: ByteWriter, ids: readonly PointId[]): void {
  out.u32(ids.length);
  for (const id of ids) {
    out.u8(typeof id === "number" ? 0 : 1);
    if (typeof id === "number") out.f64(id);
    else out.text(id, STATE_LIMITS.idBytesMax, "an id");
  }
}

function readIds(from: ByteReader): PointId[] {
  const ids: PointId[] = [];
  const count = from.count(5, STATE_LIMITS.pointsPerEntry, "points");
  for (let at = 0; at < count; at++) ids.push(readId(from));
  return ids;
}

function readId(from: ByteReader): PointId {
  const tag = from.u8();
  if (tag === 0) {
    const id = from.f64();
    if (Number.isSafeInteger(id) && id >= 0 && !Object.is(id, -0)) return id;
    throw new UnreadableEntry("a numeric id is a whole number from 0 to 2^53 - 1");
  }
  const id = tag === 1 ? from.text(STATE_LIMITS.idBytesMax, "an id") : "";
  if (id === "") throw new UnreadableEntry("an id is a number or a string of 1 to 512 bytes");
  return id;
}

function encodePayload(out: ByteWriter, payload: Payload | null): void {
  out.text(payload === null ? "" : canonicalJson(payload), STATE_LIMITS.payloadBytesMax, "a payload");
}

function readPayload(from: ByteReader): Payload | null {
  const text = from.text(STATE_LIMITS.payloadBytesMax, "a payload");
  if (text === "") return null;
  const payload = parsePayload(text, STATE_LIMITS.payloadDepthMax);
  if (payload === null)
    throw new UnreadableEntry(`a payload is a JSON object of at most ${STATE_LIMITS.payloadDepthMax} levels`);
  return payload;
}

function encodeVectors(out: ByteWriter, points: readonly { readonly vector: Float32Array }[]): void {
  const dimension = points[0]?.vector.length ?? 0;
  out.u32(dimension);
  for (const { vector } of points) {
    if (vector.length !== dimension) throw new RangeError("vectors of one operation have one length");
    out.floats(vector);
  }
}

function readVectors(from: ByteReader, count: number): (at: number) => Float32Array {
  const dimension = from.u32();
  if (dimension > STATE_LIMITS.dimensionMax)
    throw new UnreadableEntry(`a vector has at most ${STATE_LIMITS.dimensionMax} elements`);
  const all = from.floats(count * dimension);
  return (at) => all.subarray(at * dimension, (at + 1) * dimension);
}
