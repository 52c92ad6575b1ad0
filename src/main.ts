/** The `flotilla` program: arguments to exit code. */
import { Command } from "commander";
import { watchOutput } from "./cli/output.ts";
import { plainly, registerServe } from "./cli/serve.ts";
import { programVersion } from "./observability/build-facts.ts";

/** After a failure: long enough for files to be closed, shorter than a supervisor's patience. */
const EXIT_WITHIN_MS = 5_000;

watchOutput({ goesOn: process.argv[2] === "serve" });
const program = new Command("flotilla")
  .description("vector search in which every shard is a Raft group")
  .version(programVersion())
  .showHelpAfterError("(--help shows what there is)");
registerServe(program);
// A node that starts loads nothing it does not need; the other commands are there for whoever asks for one, or for help.
if (process.argv[2] !== "serve") (await import("./cli/commands.ts")).registerCommands(program);

try {
  await program.parseAsync();
} catch (error) {
  const line = plainly(error);
  process.stderr.write(`flotilla: ${line ?? (error instanceof Error ? error.stack : String(error))}\n`);
  process.exitCode = 1;
  // What failed may hold something open that no longer answers: the exit does not wait for it.
  setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
}
