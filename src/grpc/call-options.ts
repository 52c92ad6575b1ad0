/** How a call is to be carried out rather than what it does: options of requests, and metadata. */
import type { Metadata } from "@grpc/grpc-js";
import { ApiError } from "../api/errors.ts";
import type { Consistency, ReadOptions, WriteOptions, WriteReceipt } from "../api/types.ts";
import type { Credentials } from "../auth/authenticator.ts";
import type { READ_OPTIONS, WRITE_OPTIONS } from "./messages/common.ts";
import type { Of } from "./messages/points.ts";

export function readOptions({
  request: { options },
  signal,
}: {
  readonly request: { readonly options: Of<typeof READ_OPTIONS> | null };
  readonly signal: AbortSignal;
}): ReadOptions {
  const level = options?.consistency ?? "leader";
  const consistency: Consistency =
    level === "session" ? { level, atLeast: options?.session ?? [] } : { level };
  return { consistency, signal };
}

export function writeOptions({
  request: { options },
  metadata,
  signal,
}: {
  readonly request: { readonly options: Of<typeof WRITE_OPTIONS> | null };
  readonly metadata: Metadata;
  readonly signal: AbortSignal;
}): WriteOptions {
  const key = options?.idempotencyKey ?? "";
  return {
    wait: options?.wait ?? true,
    idempotencyKey: key === "" ? null : key,
    ...redirect(metadata),
    signal,
  };
}

function redirect(metadata: Metadata): { readonly redirect?: boolean } {
  const sent = single(metadata, "flotilla-redirect");
  if (sent === undefined) return {};
  if (sent === "true" || sent === "false") return { redirect: sent === "true" };
  throw new ApiError("BAD_REQUEST", "Wrong input: the metadata flotilla-redirect must be true or false");
}

/** Both are understood, as over REST. */
export const credentialsOf = (metadata: Metadata): Credentials => ({
  apiKey: single(metadata, "api-key"),
  authorization: single(metadata, "authorization"),
});

/** The answer to a write. */
export const receipt = ({ indexes, duplicate }: WriteReceipt) => ({ indexes, duplicate });

/** BAD_REQUEST when it was sent more than once: which one would count? */
function single(metadata: Metadata, name: string): string | undefined {
  const [first, ...more] = metadata.get(name);
  if (more.length > 0)
    throw new ApiError("BAD_REQUEST", `Wrong input: the metadata ${name} must be sent once`);
  return first === undefined ? undefined : String(first);
}
