/** The table of errors as Markdown, for the README. */
import { ERRORS } from "./errors.ts";

const RETRY = {
  yes: "yes",
  no: "no",
  "safe-with-key": "with the same `Idempotency-Key`",
} as const;

/** One row per code, in the order of the table. */
export function errorsTable(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { http, grpc, retry, meaning }]) =>
      `| \`${code}\` | ${http} | ${grpc} | ${RETRY[retry]} | ${meaning.replaceAll("|", "\\|")} |`,
  );
  return ["| code | HTTP | gRPC | retry | meaning |", "|---|---|---|---|---|", ...rows].join("\n");
}
