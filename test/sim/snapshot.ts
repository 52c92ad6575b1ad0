import { createHash } from "node:crypto";
import type { CapturedSnapshot, LogIndex } from "../../shards/ports.ts";

/** A snapshot whose one file lies in memory: small states need no more, and nothing survives the process by accident. */
export class MemorySnapshot implements CapturedSnapshot {
  readonly index: LogIndex;
  readonly files: CapturedSnapshot["files"];
  readonly #bytes: Uint8Array;
  readonly #released: () => void;
  #open = true;

  constructor(index: LogIndex, bytes: Uint8Array, released: () => void = () => undefined) {
    this.index = index;
    this.files = [{ name: SNAPSHOT_FILE, bytes: bytes.length, sha256: sha256(bytes) }];
    this.#bytes = bytes;
    this.#released = released;
  }

  async read(name: string, offset: number, length: number): Promise<Uint8Array> {
    if (!this.#open) throw new RangeError("a disposed snapshot cannot be read");
    if (name !== SNAPSHOT_FILE) throw new RangeError(`there is no file ${name} in the snapshot`);
    return Promise.resolve(this.#bytes.slice(offset, offset + length));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#open) this.#released();
    this.#open = false;
    await Promise.resolve();
  }
}

export const SNAPSHOT_FILE = "state";

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
