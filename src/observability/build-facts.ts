import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { NodeStatus } from "../cluster/types.ts";

/** The project's own directory, from a source as from a compiled file. */
const ROOT = fileURLToPath(new URL("../..", import.meta.url)).replace(/\/dist\/$/, "/");

export function programVersion(): string {
  const manifest = JSON.parse(readFileSync(`${ROOT}package.json`, "utf8")) as { readonly version: string };
  return manifest.version;
}

/** How the native index was built, as set-up wrote it down; `unknown` when it was installed some other way. */
export function buildFacts(stamp = `${ROOT}node_modules/.flotilla-build.json`): NodeStatus["build"] {
  const node = process.version;
  if (!existsSync(stamp)) return { hnswlib: "unknown", flags: "", node };
  let read: unknown;
  try {
    read = JSON.parse(readFileSync(stamp, "utf8"));
  } catch (error) {
    if (error instanceof SyntaxError) return { hnswlib: "unknown", flags: "", node };
    throw error;
  }
  const { hnswlib, flags } = (read ?? {}) as { readonly hnswlib?: unknown; readonly flags?: unknown };
  return {
    hnswlib: hnswlib === "native" || hnswlib === "portable" ? hnswlib : "unknown",
    flags: typeof flags === "string" ? flags : "",
    node,
  };
}
