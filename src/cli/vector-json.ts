/** Float32 vectors as the shortest JSON that reads back to the same float32 numbers. */

/** Text of the whole numbers of a byte, which most benchmark sets consist of. */
const BYTES: readonly string[] = Array.from({ length: 256 }, (_, value) => String(value));

/** `[a,b,c]` for elements `from` up to but not including `to`, all of them finite. */
export function vectorJson(vectors: Float32Array, from = 0, to = vectors.length): string {
  let text = "[";
  for (let at = from; at < to; at++) {
    if (at > from) text += ",";
    text += float32Text(vectors[at] as number);
  }
  return `${text}]`;
}

/**
 * A float32 printed as the double it is takes up to 17 digits where 9 suffice. Rounding to a few decimals and
 * comparing costs less than printing does, and halves what the server has to parse.
 */
function float32Text(value: number): string {
  if (value >= 0 && value <= 255 && Number.isInteger(value)) return BYTES[value] as string;
  for (const scale of [1e6, 1e7, 1e8, 1e9, 1e10]) {
    const rounded = Math.round(value * scale) / scale;
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(value);
}
