/** `flotilla serve`: every option of the table as a flag, and signals. */
import { Option, type Command } from "commander";
import { ConfigError, loadConfig } from "../config/load.ts";
import {
  OPTIONS,
  OPTION_NAMES,
  environmentName,
  flagOf,
  type OptionName,
  type OptionRow,
} from "../config/options.ts";
import { rangeOf } from "../config/values.ts";
import { runDaemon } from "../daemon.ts";

/** A second signal, or a node that cannot end orderly: as a shell reports SIGINT. */
const EXIT_AT_ONCE = 130;

export function registerServe(program: Command): void {
  const serve = program
    .command("serve")
    .description("run a node")
    .option("--config <file>", "YAML file with sections and keys as in the table of options");
  for (const name of OPTION_NAMES) serve.addOption(flag(name));
  serve.action(async (given: Readonly<Record<string, string | boolean | undefined>>) => {
    await runNode(given);
  });
}

async function runNode(given: Readonly<Record<string, string | boolean | undefined>>): Promise<void> {
  const flags = new Map<OptionName, string | boolean>();
  for (const name of OPTION_NAMES) {
    const value = given[flag(name).attributeName()];
    if (value !== undefined) flags.set(name, value);
  }
  const file = typeof given["config"] === "string" ? given["config"] : null;
  const config = loadConfig({ flags, environment: process.env, file });
  const stop = new AbortController();
  const onSignal = (): void => {
    if (stop.signal.aborted) process.exit(EXIT_AT_ONCE);
    stop.abort();
  };
  process.on("SIGTERM", onSignal);
  process.on("SIGINT", onSignal);
  try {
    await runDaemon(config, {
      announce: (line) => process.stdout.write(`${line}\n`),
      stop: stop.signal,
    });
  } catch (error) {
    // Told to stop while it waited for a cluster to let it in: it gave that up, and nothing is wrong.
    const gaveUp = error instanceof Error && error.name === "AbortError" && stop.signal.aborted;
    if (!gaveUp) throw error;
  }
}

function flag(name: OptionName): Option {
  const row: OptionRow = OPTIONS[name];
  const value = row.kind === "switch" ? "" : row.kind === "address" ? " <host:port>" : " <value>";
  return new Option(`${flagOf(name)}${value}`, describe(name, row));
}

function describe(name: OptionName, row: OptionRow): string {
  const bounds = row.kind === "number" ? `, ${rangeOf(row)}` : "";
  const preset = row.default === null || row.default === false ? "" : `, default ${row.default}`;
  return `${row.about || row.reason} (${environmentName(name)}${bounds}${preset})`;
}

/** What a failed command says in one line; null: a defect, whose stack is worth more. */
export function plainly(error: unknown): string | null {
  if (error instanceof ConfigError) return error.message;
  if (!(error instanceof Error)) return null;
  // Errors of the operating system, the log, the engine and the network say in their message what is wrong. Null is the
  // code of an answer that had none.
  const isCoded = "code" in error && (typeof error.code === "string" || error.code === null);
  return isCoded || error.name === "Error" ? error.message : null;
}
