/** Raw float32 vectors in a file, so that processes of one benchmark share them without copying through a pipe. */
import { closeSync, openSync, readFileSync, readSync, writeFileSync } from "node:fs";

export interface VectorFile {
  readonly file: string;
  readonly count: number;
  readonly dimension: number;
}

export function writeVectorFile(file: string, vectors: Float32Array, dimension: number): VectorFile {
  writeFileSync(file, new Uint8Array(vectors.buffer, vectors.byteOffset, vectors.byteLength));
  return { file, count: vectors.length / dimension, dimension };
}

export function readVectorFile({ file }: VectorFile): Float32Array {
  const bytes = readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** Rows one by one through a small buffer, which is reused: memory stays what the reader makes of them. */
export function* vectorRows({ file, count, dimension }: VectorFile): Generator<Float32Array> {
  const rowsAtOnce = Math.max(1, Math.floor((1 << 20) / (4 * dimension)));
  const buffer = Buffer.alloc(4 * dimension * rowsAtOnce);
  const values = new Float32Array(buffer.buffer, buffer.byteOffset, dimension * rowsAtOnce);
  const handle = openSync(file, "r");
  try {
    for (let row = 0; row < count; row++) {
      const slot = row % rowsAtOnce;
      if (slot === 0) readSync(handle, buffer, 0, buffer.length, row * 4 * dimension);
      yield values.subarray(slot * dimension, (slot + 1) * dimension);
    }
  } finally {
    closeSync(handle);
  }
}
