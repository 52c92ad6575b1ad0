/**
 * What is wrong with a value by a JSON Schema, for the part of the language that the OpenAPI document uses; a keyword
 * it does not know is an error. Stricter in one point: fields that a schema does not name are wrong.
 */
export type Json = Readonly<Record<string, unknown>>;

export const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const KNOWN = new Set([
  ...["type", "enum", "anyOf", "items", "properties", "required", "additionalProperties"],
  ...["minimum", "maximum", "exclusiveMinimum", "description", "default"],
]);

/** Sentences, each with the place it is about; none: the value is as described. */
export function faults(schema: Json, value: unknown, at = "$"): readonly string[] {
  const strange = Object.keys(schema).filter((keyword) => !KNOWN.has(keyword));
  if (strange.length > 0) throw new Error(`${at}: the schema has unknown keywords: ${strange.join(", ")}`);
  const { type, enum: words, anyOf, minimum, items } = schema;
  if (Array.isArray(anyOf)) {
    const tried = anyOf.map((option) => faults(option as Json, value, at));
    return tried.some((found) => found.length === 0) ? [] : tried.flat();
  }
  if (Array.isArray(words) && !words.includes(value))
    return [`${at}: ${JSON.stringify(value)} is none of ${words.join(", ")}`];
  if (typeof type === "string" && !isOf(type, value))
    return [`${at}: ${JSON.stringify(value)} is not of type ${type}`];
  if (typeof value === "number" && typeof minimum === "number" && value < minimum)
    return [`${at}: ${value} is below ${minimum}`];
  if (Array.isArray(value))
    return isRecord(items) ? value.flatMap((item, key) => faults(items, item, `${at}[${key}]`)) : [];
  return isRecord(value) ? fieldFaults(schema, value, at) : [];
}

function fieldFaults(schema: Json, value: Json, at: string): readonly string[] {
  const { properties, required, additionalProperties: others } = schema;
  const known = isRecord(properties) ? properties : {};
  const missing = (Array.isArray(required) ? required : []).filter((name: string) => !(name in value));
  return [
    ...missing.map((name: string) => `${at}: ${name} is missing`),
    ...Object.entries(value).flatMap(([name, field]) => {
      const described = known[name] ?? others;
      if (described === true) return [];
      return isRecord(described)
        ? faults(described, field, `${at}.${name}`)
        : [`${at}: ${name} is not described`];
    }),
  ];
}

function isOf(type: string, value: unknown): boolean {
  if (type === "integer") return Number.isSafeInteger(value);
  if (type === "null") return value === null;
  if (type === "array") return Array.isArray(value);
  return type === "object" ? isRecord(value) : typeof value === type;
}
