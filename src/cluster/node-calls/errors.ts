import { ApiError, ERRORS, type ErrorCode, type ErrorDetails } from "../../api/errors.ts";

/**
 * A call between nodes that had no answer of its own.
 * - `UNREACHABLE`: there is no connection. `sent: false`: nothing left this node, the call had no effect;
 *   `sent: true`: the answer was lost, and whether the call had an effect is unknown.
 * - `OVERLOADED`: refused by a limit before anything was done.
 * - `TOO_LARGE`: refused here, nothing was sent.
 * - `DEADLINE`: the deadline passed without an answer; `sent` as above.
 * - anything else is the code of the other node's error, which carried the call out or failed at it.
 */
export class NodeCallError extends Error {
  override readonly name = "NodeCallError";
  readonly code: string;
  readonly node: number;
  readonly sent: boolean;
  constructor(
    facts: { readonly code: string; readonly node: number; readonly sent: boolean },
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.code = facts.code;
    this.node = facts.node;
    this.sent = facts.sent;
  }
}

/** The other end sent something that this program never sends: the stream is closed. */
export class BadFrame extends Error {
  override readonly name = "BadFrame";
}

/** An error as it travels. */
export interface WireError {
  readonly code: string;
  readonly message: string;
  /** Of an ApiError; null: any other error. */
  readonly details: ErrorDetails | null;
}

export function wireError(error: unknown): WireError {
  if (error instanceof ApiError) {
    return { code: error.code, message: error.message, details: error.details };
  }
  const known = error instanceof Error ? error : new Error(String(error));
  const code = "code" in known && typeof known.code === "string" ? known.code : known.name;
  return { code, message: known.message, details: null };
}

export function thrownError({ code, message, details }: WireError, node: number): Error {
  if (details !== null && isErrorCode(code)) return new ApiError(code, message, details);
  return new NodeCallError({ code, node, sent: true }, `node ${node}: ${message}`);
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(ERRORS, code);
}
