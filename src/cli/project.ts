/** Where this program lies: its packages, its compiled files, what its set-up built. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The directory with this program's package.json, whether it runs compiled or from source. */
export const PROJECT_ROOT: string = findRoot(dirname(fileURLToPath(import.meta.url)));

function findRoot(from: string): string {
  if (existsSync(join(from, "package.json"))) return from;
  const above = dirname(from);
  return above === from ? process.cwd() : findRoot(above);
}

/** The compiled form of a source file (`src/cli/bench/bare-process.ts`), which is what another process can run. */
export function compiledFile(source: string): string {
  return join(PROJECT_ROOT, "dist", source.replace(/\.ts$/, ".js"));
}

/** How the native packages were built, as set-up recorded it; all "unknown" when it did not run here. */
export interface BuildFacts {
  readonly hnswlib: string;
  readonly flags: string;
  readonly packages: readonly string[];
}

export function buildFacts(): BuildFacts {
  const stamp = join(PROJECT_ROOT, "node_modules", ".flotilla-build.json");
  if (!existsSync(stamp)) return { hnswlib: "unknown", flags: "unknown", packages: [] };
  const { hnswlib, flags, packages } = JSON.parse(readFileSync(stamp, "utf8")) as BuildFacts;
  return { hnswlib, flags, packages };
}
