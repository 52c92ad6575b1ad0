/**
 * A hash of what a shard logically holds: the sum of one 128-bit hash per point, so that it does not depend on order
 * or history, and a change costs one subtraction and one addition.
 */
import { createHash } from "node:crypto";
import * as crypto from "node:crypto";
import type { PointId } from "./types.ts";

const DIGEST_BYTES = 16;

/** One 128-bit lane pair as four 32-bit lanes, each modulo 2^32. */
export class StateHash {
  readonly #lanes = new Uint32Array(4);

  static from(bytes: Uint8Array): StateHash {
    const hash = new StateHash();
    hash.add(bytes);
    return hash;
  }

  add(digest: Uint8Array): void {
    const view = new DataView(digest.buffer, digest.byteOffset, DIGEST_BYTES);
    for (let lane = 0; lane < 4; lane++)
      this.#lanes[lane] = (this.#lanes[lane] ?? 0) + view.getUint32(lane * 4, true);
  }

  subtract(digest: Uint8Array): void {
    const view = new DataView(digest.buffer, digest.byteOffset, DIGEST_BYTES);
    for (let lane = 0; lane < 4; lane++)
      this.#lanes[lane] = (this.#lanes[lane] ?? 0) - view.getUint32(lane * 4, true);
  }

  copyFrom(other: StateHash): void {
    this.#lanes.set(other.#lanes);
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(DIGEST_BYTES);
    const view = new DataView(bytes.buffer);
    this.#lanes.forEach((lane, at) => view.setUint32(at * 4, lane, true));
    return bytes;
  }

  /** 32 lower-case hex digits. */
  toString(): string {
    return [...this.#lanes].map((lane) => lane.toString(16).padStart(8, "0")).join("");
  }
}

// One-shot hashing came with Node 20.12 and costs a third of a hash object.
const oneShot = "hash" in crypto ? crypto.hash : null;

function digest(bytes: Uint8Array): Buffer {
  const whole =
    oneShot === null ? createHash("sha256").update(bytes).digest() : oneShot("sha256", bytes, "buffer");
  return whole.subarray(0, DIGEST_BYTES);
}

export function vectorDigest(vector: Float32Array): Buffer {
  return digest(new Uint8Array(vector.buffer, vector.byteOffset, vector.byteLength));
}

let scratch = Buffer.allocUnsafe(4096);

/** Over id, version, vector and payload (canonical JSON, or null): each part's length is hashed with it. */
export function pointDigest(
  point: { readonly id: PointId; readonly version: number; readonly payload: string | null },
  ofVector: Uint8Array,
): Buffer {
  const id = typeof point.id === "string" ? point.id : "";
  const payload = point.payload ?? "";
  const most = 3 * (id.length + payload.length) + 64;
  if (scratch.length < most) scratch = Buffer.allocUnsafe(most * 2);
  let at = 0;
  if (typeof point.id === "number") at = scratch.writeDoubleLE(point.id, scratch.writeUInt8(0, at));
  else {
    const length = scratch.write(id, 5, "utf8");
    scratch.writeUInt32LE(length, scratch.writeUInt8(1, at));
    at = 5 + length;
  }
  at = scratch.writeDoubleLE(point.version, at);
  scratch.set(ofVector.subarray(0, DIGEST_BYTES), at);
  at = scratch.writeUInt8(point.payload === null ? 0 : 1, at + DIGEST_BYTES);
  at += scratch.write(payload, at, "utf8");
  return digest(scratch.subarray(0, at));
}
