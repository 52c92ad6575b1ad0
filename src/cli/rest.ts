/** Calls on a node's REST interface, for the tools: the result of the envelope, or an error with the node's words. */
import type { HttpAnswer, HttpClient } from "./http-client.ts";

/** The node answered, and not with success. */
export class RestError extends Error {
  override readonly name = "RestError";
  readonly status: number;
  /** The node's stable error code; null when the answer had none. */
  readonly code: string | null;
  /** What `Retry-After` asks for. */
  readonly retryAfterMs: number | null;
  constructor(message: string, answer: Pick<RestError, "status" | "code" | "retryAfterMs">) {
    super(message);
    this.status = answer.status;
    this.code = answer.code;
    this.retryAfterMs = answer.retryAfterMs;
  }
}

const WORDS_MAX = 200;

/** The `result` of a successful answer. Throws {@link RestError}, or HttpClientError when there was no answer. */
export async function call(
  client: HttpClient,
  method: string,
  path: string,
  body?: string | Buffer | object,
  headers?: Readonly<Record<string, string>>,
): Promise<unknown> {
  const bytes = typeof body === "object" && !Buffer.isBuffer(body) ? JSON.stringify(body) : body;
  const answer = await client.request(method, path, bytes, headers);
  return resultOf(answer, `${method} ${path}`);
}

export function resultOf(answer: HttpAnswer, request: string): unknown {
  const envelope = parseEnvelope(answer);
  if (answer.status < 300 && envelope?.["result"] !== undefined) return envelope["result"];
  const status = envelope?.["status"];
  const error = isRecord(status) ? status : {};
  const words = typeof error["error"] === "string" ? error["error"] : foreign(answer);
  throw new RestError(`${request}: ${answer.status}: ${words}`, {
    status: answer.status,
    code: typeof error["code"] === "string" ? error["code"] : null,
    retryAfterMs: retryAfter(answer.header("retry-after")),
  });
}

/** What another kind of server, or one in between, said instead. */
function foreign({ body }: HttpAnswer): string {
  const text = body.toString("utf8").replace(/\s+/g, " ").trim();
  const shown = text.length > WORDS_MAX ? `${text.slice(0, WORDS_MAX)}...` : text;
  return `this is no answer of a Flotilla node: ${shown === "" ? "it is empty" : shown}`;
}

function parseEnvelope(answer: HttpAnswer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(answer.body.toString("utf8"));
    return isRecord(value) ? value : null;
  } catch (cause) {
    if (cause instanceof SyntaxError) return null;
    throw cause;
  }
}

function retryAfter(value: string | undefined): number | null {
  const seconds = value === undefined ? Number.NaN : Number(value);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : null;
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The path of a collection, with a name of any characters. */
export function collectionPath(name: string, rest = ""): string {
  return `/collections/${encodeURIComponent(name)}${rest}`;
}
