import { spawn } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import ts from "typescript";
import type { Mutation } from "./mutations/mutation.ts";

/** A bug planted in a copy of the sources; nothing of it is ever part of a build. */

/** The file with the edits of `mutation` that concern it; throws when one does not fit exactly once. */
export function mutated(mutation: Mutation, root: string): ReadonlyMap<string, string> {
  const files = new Map<string, string>();
  for (const { file, find, replace } of [...(mutation.conditions ?? []), ...mutation.edits]) {
    const text = files.get(file) ?? readFileSync(join(root, file), "utf8");
    const found = text.split(find).length - 1;
    if (found !== 1)
      throw new Error(
        `mutation ${mutation.name}: its text stands once in ${file}, not ${found} times:\n${find}`,
      );
    files.set(
      file,
      text.replace(find, () => replace),
    );
  }
  return files;
}

const COPIED = ["shards", "test/sim", "test/linearizability"];

/**
 * A compiled copy of the replication layer and the simulator with the mutation in it, in a fresh temporary folder.
 * Starts from `dist`, so that has to be up to date; the mutated files alone are compiled, without type checks.
 */
export function plant(mutation: Mutation, root: string): string {
  const home = mkdtempSync(join(tmpdir(), `flotilla-${mutation.name}-`));
  for (const folder of COPIED)
    cpSync(join(root, "dist", folder), join(home, "dist", folder), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(home, "node_modules"));
  writeFileSync(join(home, "package.json"), `{ "type": "module" }`);
  for (const [file, text] of mutated(mutation, root)) {
    const { outputText } = ts.transpileModule(text, {
      fileName: file,
      compilerOptions: {
        module: ts.ModuleKind.ESNext,
        target: ts.ScriptTarget.ES2022,
        rewriteRelativeImportExtensions: true,
        verbatimModuleSyntax: true,
      },
    });
    const target = join(home, "dist", file.replace(/\.ts$/, ".js"));
    mkdirSync(dirname(target), { recursive: true });
    writeFileSync(target, outputText);
  }
  return home;
}

export interface Catch {
  readonly invariant: string;
  readonly seeds: number;
  readonly seed: number;
  /** Events until it was caught, in the run that caught it. */
  readonly steps: number;
  readonly message: string;
}

/** Runs seeds from 1 on with the mutation planted; null when `seeds` of them all passed. */
export async function hunt(
  mutation: Mutation,
  options: {
    readonly root: string;
    readonly seeds: number;
    readonly steps: number;
    readonly firstSeed?: number;
    readonly timeoutMs: number;
  },
): Promise<Catch | null> {
  const home = plant(mutation, options.root);
  const first = options.firstSeed ?? 1;
  try {
    const output = await runChild(
      [
        join(home, "dist", "test", "sim", "main.js"),
        ...["--seed", `${first}`, "--seeds", `${options.seeds}`, "--steps", `${options.steps}`, "--json"],
        ...(mutation.profile === undefined ? [] : ["--profile", mutation.profile]),
      ],
      options.timeoutMs,
    );
    if (output === "timeout")
      return { invariant: "the run comes to an end", seeds: 0, seed: 0, steps: 0, message: "timeout" };
    const line = output.trim().split("\n").at(-1) ?? "";
    const found = JSON.parse(line) as {
      caught: null | { seed: number; invariant: string; steps: number; message: string };
    };
    if (found.caught === null) return null;
    return { ...found.caught, seeds: found.caught.seed - first + 1 };
  } finally {
    rmSync(home, { recursive: true, force: true });
  }
}

/** Standard output of a child; "timeout" when it had to be ended. */
function runChild(args: readonly string[], timeoutMs: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
    let output = "";
    let errors = "";
    child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (errors += chunk.toString()));
    const timer = setTimeout(() => {
      child.kill("SIGKILL");
      resolve("timeout");
    }, timeoutMs);
    child.on("error", reject);
    child.on("close", () => {
      clearTimeout(timer);
      if (output.trim() === "") reject(new Error(`the child said nothing: ${errors}`));
      else resolve(output);
    });
  });
}
