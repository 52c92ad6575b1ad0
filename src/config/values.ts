import type { NumberRow, OptionRow, OptionValue } from "./options.ts";

type Parsed =
  | { readonly kind: "value"; readonly value: OptionValue }
  | { readonly kind: "bad"; readonly message: string };

/** What may follow a number, by unit; of anything else there is only one. */
const SUFFIXES: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  bytes: { "": 1, b: 1, kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, kb: 1e3, mb: 1e6, gb: 1e9 },
  ms: { "": 1, ms: 1, s: 1_000, m: 60_000, h: 3_600_000 },
  ratio: { "": 1, "%": 0.01 },
};

/** Text from a flag or the environment, or a YAML scalar, as the row's type; the message names value and bounds. */
export function parseValue(row: OptionRow, raw: unknown): Parsed {
  switch (row.kind) {
    case "number":
      return parseNumber(row, raw);
    case "switch":
      if (raw === true || raw === "true" || raw === "1") return { kind: "value", value: true };
      if (raw === false || raw === "false" || raw === "0") return { kind: "value", value: false };
      return bad(raw, "true or false");
    case "choice":
      return typeof raw === "string" && row.choices.includes(raw)
        ? { kind: "value", value: raw }
        : bad(raw, `one of ${row.choices.join(", ")}`);
    case "address":
      return typeof raw === "string" && isAddress(raw)
        ? { kind: "value", value: raw }
        : bad(raw, "HOST:PORT with a port from 0 to 65535");
    case "secret":
      // A key that cannot be sent in a header would lock everybody out.
      return typeof raw === "string" && /^[\x21-\x7e]{1,512}$/.test(raw)
        ? { kind: "value", value: raw }
        : { kind: "bad", message: "a key has 1 to 512 visible ASCII characters" };
    case "text":
      return typeof raw === "string" && raw.length > 0
        ? { kind: "value", value: raw }
        : bad(raw, "a text that is not empty");
  }
}

function parseNumber(row: NumberRow, raw: unknown): Parsed {
  const match = /^\s*(\d[\d_]*(?:\.\d+)?(?:e\d+)?)\s*([a-z%]*)\s*$/i.exec(String(raw));
  const factor = (SUFFIXES[row.unit] ?? { "": 1 })[(match?.[2] ?? "?").toLowerCase()];
  const value = match && factor !== undefined ? Number(match[1]?.replaceAll("_", "")) * factor : NaN;
  const whole = row.unit === "ratio" || Number.isSafeInteger(value);
  if (whole && value >= row.min && value <= row.max) return { kind: "value", value };
  return bad(raw, rangeOf(row));
}

/** The bounds of a row in words: `from 1024 to 1073741824 bytes`. */
export function rangeOf(row: NumberRow): string {
  const kind = row.unit === "ratio" ? "a number" : "a whole number";
  const unit = row.unit === "ratio" || row.unit === "" ? "" : ` ${row.unit}`;
  return `${kind} from ${row.min} to ${row.max}${unit}`;
}

function isAddress(text: string): boolean {
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):(\d{1,5})$/.exec(text);
  return match !== null && Number(match[1]) <= 65_535;
}

function bad(raw: unknown, wanted: string): Parsed {
  const shown = typeof raw === "string" ? JSON.stringify(raw) : (JSON.stringify(raw) ?? String(raw));
  return { kind: "bad", message: `${shown} is not ${wanted}` };
}
