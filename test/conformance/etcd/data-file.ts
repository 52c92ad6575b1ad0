/**
 * Reader of data-driven test files: a directive line with arguments, input lines, `----`, the expected output up to a
 * blank line. Lines that begin with `#` before a directive are comments.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

export interface Directive {
  readonly line: number;
  readonly command: string;
  /** In order; an argument without `=` has no values. */
  readonly args: readonly { readonly key: string; readonly values: readonly string[] }[];
  readonly input: string;
  readonly expected: string;
}

export function parseDirectives(text: string): Directive[] {
  const lines = text.split("\n");
  const found: Directive[] = [];
  for (let at = 0; at < lines.length;) {
    const head = lines[at] ?? "";
    if (head.trim() === "" || head.startsWith("#")) {
      at++;
      continue;
    }
    const line = at + 1;
    const input: string[] = [];
    for (at++; at < lines.length && lines[at] !== "----"; at++) input.push(lines[at] ?? "");
    const expected: string[] = [];
    for (at++; at < lines.length && lines[at] !== ""; at++) expected.push(lines[at] ?? "");
    const [command = "", ...args] = words(head);
    found.push({
      line,
      command,
      args: args.map(argument),
      input: input.join("\n"),
      expected: expected.join("\n"),
    });
  }
  return found;
}

/** Splits at blanks that are not inside parentheses. */
function words(line: string): string[] {
  return line.match(/(?:\([^)]*\)|\S)+/g) ?? [];
}

function argument(word: string): { key: string; values: string[] } {
  const equals = word.indexOf("=");
  if (equals < 0) return { key: word, values: [] };
  const value = word.slice(equals + 1);
  const inner = value.startsWith("(") ? value.slice(1, -1) : value;
  return {
    key: word.slice(0, equals),
    values: inner === "" ? [] : inner.split(",").map((part) => part.trim()),
  };
}

/** The folder with etcd's suites, or null: it is no part of this project. */
export function referenceFolder(): string | null {
  const root = resolve(dirname(fileURLToPath(import.meta.url)), "../../..");
  const candidates = [process.env["FLOTILLA_REFERENCE"]];
  for (let up = root; ; up = dirname(up)) {
    candidates.push(join(up, "shared/reference"));
    if (dirname(up) === up) break;
  }
  for (const candidate of candidates)
    if (candidate !== undefined && existsSync(join(candidate, "etcd-raft")))
      return join(candidate, "etcd-raft");
  return null;
}

export interface DataFile {
  readonly name: string;
  readonly directives: readonly Directive[];
}

/** All files of a suite, sorted; empty, with one line saying so, when the reference folder is absent. */
export function suite(folder: string): readonly DataFile[] {
  const reference = referenceFolder();
  if (reference === null) {
    console.log(`skipped: no shared/reference/etcd-raft/${folder} beside or above the project`);
    return [];
  }
  const path = join(reference, folder);
  return readdirSync(path)
    .filter((name) => name.endsWith(".txt"))
    .sort()
    .map((name) => ({ name, directives: parseDirectives(readFileSync(join(path, name), "utf8")) }));
}
