/** The 10,000 handwritten digits that the package `mnist` carries: real vectors on a machine without a network. */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DatasetError } from "./source.ts";

const PIXELS = 28 * 28;
const CLASSES = 10;

export interface Digits {
  readonly vectors: Float32Array;
  readonly labels: readonly number[];
  readonly dimension: number;
  readonly directory: string;
  /** Over the ten files in order. */
  readonly sha256: string;
}

/** Digits of all classes in turn, so that any part of them is as mixed as the whole; pixels from 0 to 255. */
export async function readNpmMnist(): Promise<Digits> {
  const directory = join(dirname(createRequire(import.meta.url).resolve("mnist")), "digits");
  const hash = createHash("sha256");
  const classes: (readonly number[])[] = [];
  for (let digit = 0; digit < CLASSES; digit++) {
    const file = join(directory, `${digit}.json`);
    const text = await readFile(file);
    hash.update(text);
    const { data } = JSON.parse(text.toString("utf8")) as { readonly data: readonly number[] };
    if (!Array.isArray(data) || data.length % PIXELS !== 0)
      throw new DatasetError(file, "data", `a multiple of ${PIXELS} numbers is needed`);
    classes.push(data as readonly number[]);
  }
  const total = classes.reduce((sum, data) => sum + data.length / PIXELS, 0);
  const vectors = new Float32Array(total * PIXELS);
  const labels: number[] = [];
  for (let turn = 0; labels.length < total; turn++)
    classes.forEach((data, digit) => {
      const from = turn * PIXELS;
      if (from >= data.length) return;
      const target = labels.length * PIXELS;
      // Stored as shares of 255, rounded to three digits: the pixel is what it was before.
      for (let i = 0; i < PIXELS; i++) vectors[target + i] = Math.round((data[from + i] as number) * 255);
      labels.push(digit);
    });
  return { vectors, labels, dimension: PIXELS, directory, sha256: hash.digest("hex") };
}
