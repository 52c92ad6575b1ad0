/** The `flotilla` program: arguments to exit code. */
import { Command } from "commander";
import { registerBench } from "./cli/bench-recall.ts";
import { registerCollections } from "./cli/collections.ts";
import { registerImport } from "./cli/import.ts";
import { registerNodes } from "./cli/nodes.ts";
import { plainly, registerServe } from "./cli/serve.ts";
import { registerRecover } from "./cli/recover.ts";
import { registerShards } from "./cli/shards.ts";
import { registerStatus } from "./cli/status.ts";
import { registerToken } from "./cli/token.ts";
import { programVersion } from "./observability/build-facts.ts";

/** After a failure: long enough for files to be closed, shorter than a supervisor's patience. */
const EXIT_WITHIN_MS = 5_000;

const program = new Command("flotilla")
  .description("vector search in which every shard is a Raft group")
  .version(programVersion())
  .showHelpAfterError("(--help shows what there is)");
registerServe(program);
registerStatus(program);
registerNodes(program);
registerShards(program);
registerCollections(program);
registerImport(program);
registerRecover(program);
registerToken(program);
registerBench(program);

try {
  await program.parseAsync();
} catch (error) {
  const line = plainly(error);
  process.stderr.write(`flotilla: ${line ?? (error instanceof Error ? error.stack : String(error))}\n`);
  process.exitCode = 1;
  // What failed may hold something open that no longer answers: the exit does not wait for it.
  setTimeout(() => process.exit(), EXIT_WITHIN_MS).unref();
}
