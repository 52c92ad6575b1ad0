/** Writes small files of every format, good and broken, into a directory that goes away with the test. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import type { VectorBatch, VectorSource, BatchOptions } from "../../src/datasets/source.ts";

export class TempDir implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "flotilla-datasets-"));

  write(name: string, content: Uint8Array | string): string {
    const file = join(this.path, name);
    writeFileSync(file, content);
    return file;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

export function fvecs(rows: readonly (readonly number[])[]): Buffer {
  return Buffer.concat(
    rows.map((row) => {
      const record = Buffer.alloc(4 + 4 * row.length);
      record.writeInt32LE(row.length, 0);
      row.forEach((value, i) => record.writeFloatLE(value, 4 + 4 * i));
      return record;
    }),
  );
}

export function bvecs(rows: readonly (readonly number[])[]): Buffer {
  return Buffer.concat(
    rows.map((row) => {
      const record = Buffer.alloc(4 + row.length);
      record.writeInt32LE(row.length, 0);
      record.set(row, 4);
      return record;
    }),
  );
}

export function idx(type: number, shape: readonly number[], values: Uint8Array): Buffer {
  const head = Buffer.alloc(4 + 4 * shape.length);
  head[2] = type;
  head[3] = shape.length;
  shape.forEach((size, i) => head.writeUInt32BE(size, 4 + 4 * i));
  return Buffer.concat([head, values]);
}

export function npy(header: string, values: Uint8Array, version = 1): Buffer {
  const size = Buffer.alloc(version === 1 ? 2 : 4);
  size.writeUIntLE(header.length, 0, size.length);
  return Buffer.concat([
    Buffer.from([0x93]),
    Buffer.from("NUMPY"),
    Buffer.from([version, 0]),
    size,
    Buffer.from(header),
    values,
  ]);
}

export function npyHeader(descr: string, shape: string, order = "False"): string {
  return `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }\n`;
}

export function bytesOf(values: Float32Array | Float64Array | Int8Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

export const gzip = (content: Uint8Array): Buffer => gzipSync(content);

export async function readAll(source: VectorSource, options: BatchOptions): Promise<VectorBatch[]> {
  const batches: VectorBatch[] = [];
  for await (const batch of source.batches(options)) batches.push(batch);
  return batches;
}

export async function rowsOf(
  source: VectorSource,
  options: BatchOptions = { rows: 100 },
): Promise<number[][]> {
  const rows: number[][] = [];
  for (const { vectors, count, dimension } of await readAll(source, options))
    for (let row = 0; row < count; row++)
      rows.push([...vectors.subarray(row * dimension, (row + 1) * dimension)]);
  return rows;
}
