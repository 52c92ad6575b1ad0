/** What the OpenAPI document says against an answer. */
import { faults, isRecord, type Json } from "./json-schema.ts";

export function inside(value: unknown, ...names: readonly string[]): Json | null {
  let at: unknown = value;
  for (const name of names) at = isRecord(at) ? at[name] : undefined;
  return isRecord(at) ? at : null;
}

export interface AnswerToCheck {
  readonly status: number;
  readonly contentType: string;
  /** Parsed, where it is JSON. */
  readonly body: unknown;
}

/** `path` as the document writes it; undocumented statuses and content types are faults too. */
export function disagreements(
  document: Json,
  method: string,
  path: string,
  answer: AnswerToCheck,
): readonly string[] {
  const content = inside(
    document,
    ...["paths", path, method.toLowerCase(), "responses", String(answer.status), "content"],
  );
  if (content === null) return [`status ${answer.status} is not documented`];
  const [type = ""] = answer.contentType.split(";");
  const schema = inside(content, type, "schema");
  if (schema === null) return [`content type ${type} is not documented with status ${answer.status}`];
  if (type !== "application/json") return [];
  const error = inside(document, "components", "schemas", "Error") ?? {};
  return faults("$ref" in schema ? error : schema, answer.body);
}
