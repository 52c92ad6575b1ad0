import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option, type Command } from "commander";
import { HttpClient } from "./http-client.ts";

/** How a command reaches a node; the same options everywhere. */
export interface Connection {
  readonly url: string;
  readonly apiKey?: string;
  readonly caFile?: string;
  readonly json: boolean;
}

export function withConnection(command: Command): Command {
  return command
    .option("--url <url>", "a node of the cluster", "http://127.0.0.1:6333")
    .addOption(new Option("--api-key <key>", "key or token").env("FLOTILLA_API_KEY"))
    .addOption(
      new Option("--ca-file <file>", "PEM of who vouches for the node, with https://").env(
        "FLOTILLA_CA_FILE",
      ),
    )
    .option("--json", "print the answer as JSON", false);
}

export const caFileOption = (): Option =>
  new Option("--ca-file <file>", "PEM of who vouches for the node, with https://").env("FLOTILLA_CA_FILE");

/** Beyond what the node was asked to take at most: its own words about a wait that was too short come then. */
const GRACE_MS = 15_000;

/** `waitSeconds`: how long the node was told to take for the one thing asked of it. */
export function connect({ url, apiKey, caFile }: Connection, waitSeconds?: number): HttpClient {
  return new HttpClient({
    url,
    apiKey,
    ca: authorities(caFile),
    connections: 1,
    ...(waitSeconds === undefined ? {} : { timeoutMs: waitSeconds * 1000 + GRACE_MS }),
  });
}

/** The file's text; throws what the system says of it, or that it holds no certificate. */
export function authorities(caFile: string | undefined): string | undefined {
  if (caFile === undefined) return undefined;
  const text = readFileSync(caFile, "utf8");
  // The library for TLS passes over whatever is none.
  if (/-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/.test(text)) return text;
  throw new Error(`--ca-file ${caFile}: it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)`);
}

/** The answer as it is with `--json`, else what is made of it for people. */
export function print(options: Connection, answer: unknown, text: () => string): void {
  process.stdout.write(`${options.json ? JSON.stringify(answer, null, 2) : text()}\n`);
}

/** An argument or option that is a number from 1 on. */
export function wholeNumber(text: string): number {
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new InvalidArgumentError("it must be a whole number from 1 on");
}

/** Columns, each as wide as its widest cell; numbers to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): string {
  const all = [head, ...rows].map((cells) => cells.map(String));
  const widths = head.map((_, column) => Math.max(...all.map((cells) => cells[column]?.length ?? 0)));
  const line = (cells: readonly string[], source: readonly (string | number)[]): string =>
    cells
      .map((cell, at) =>
        typeof source[at] === "number" ? cell.padStart(widths[at] ?? 0) : cell.padEnd(widths[at] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return all.map((cells, at) => line(cells, at === 0 ? head : (rows[at - 1] ?? []))).join("\n");
}
