/** Every command but `serve`. */
import type { Command } from "commander";
import { registerBench } from "./bench-recall.ts";
import { registerCollections } from "./collections.ts";
import { registerImport } from "./import.ts";
import { registerNodes } from "./nodes.ts";
import { registerRecover } from "./recover.ts";
import { registerShards } from "./shards.ts";
import { registerStatus } from "./status.ts";
import { registerToken } from "./token.ts";

export function registerCommands(program: Command): void {
  registerStatus(program);
  registerNodes(program);
  registerShards(program);
  registerCollections(program);
  registerImport(program);
  registerRecover(program);
  registerToken(program);
  registerBench(program);
}
