/** Opens a file of vectors by what its name and first bytes say it is. */
import { ByteReader } from "./byte-reader.ts";
import { openHdf5 } from "./hdf5.ts";
import { openIdx } from "./idx.ts";
import { openJsonl } from "./jsonl.ts";
import { openNpy } from "./npy.ts";
import { DatasetError } from "./source.ts";
import type { VectorFormat, VectorSource } from "./source.ts";
import { openVecs } from "./vecs.ts";

export const FORMATS: readonly VectorFormat[] = ["fvecs", "bvecs", "idx", "npy", "jsonl", "hdf5"];

export interface OpenOptions {
  /** Overrides what the name and the first bytes say. */
  readonly format?: VectorFormat;
  /** Which dataset of an HDF5 file; `train` when left out. */
  readonly dataset?: string;
}

/** Throws {@link DatasetError} when the file cannot be read, its format is unclear or its header is wrong. */
export async function openVectors(file: string, options: OpenOptions = {}): Promise<VectorSource> {
  const format = options.format ?? (await guessFormat(file));
  switch (format) {
    case "fvecs":
    case "bvecs":
      return await openVecs(file, format);
    case "idx":
      return await openIdx(file);
    case "npy":
      return await openNpy(file);
    case "jsonl":
      return await openJsonl(file);
    case "hdf5":
      return await openHdf5(file, options.dataset);
  }
}

async function guessFormat(file: string): Promise<VectorFormat> {
  const name = file.toLowerCase().replace(/\.gz$/, "");
  if (name.endsWith(".fvecs")) return "fvecs";
  if (name.endsWith(".bvecs")) return "bvecs";
  if (name.endsWith(".npy")) return "npy";
  if (/\.(jsonl|ndjson)$/.test(name)) return "jsonl";
  if (/\.(hdf5|h5)$/.test(name)) return "hdf5";
  if (/(\.idx|idx\d-ubyte)$/.test(name)) return "idx";
  await using reader = await ByteReader.open(file);
  const head = await reader.read(8);
  if (head.subarray(1, 6).toString("latin1") === "NUMPY") return "npy";
  if (head.subarray(1, 4).toString("latin1") === "HDF") return "hdf5";
  if (head[0] === 0x7b) return "jsonl";
  if (head.length >= 4 && head[0] === 0 && head[1] === 0 && head[2] !== 0) return "idx";
  throw new DatasetError(
    file,
    "byte 0",
    `its format is clear neither from the name nor from the first bytes; say --format with one of ${FORMATS.join(", ")}`,
  );
}
