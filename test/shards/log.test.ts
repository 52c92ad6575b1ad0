import { join } from "node:path";
import { onTestFinished } from "vitest";
import { MemoryLog, openSqliteLog } from "../../shards/adapters.ts";
import type { LogStore } from "../../shards/index.ts";
import { logConformance } from "./log-conformance.ts";
import { scratch } from "./support/scratch.ts";

const paths = new WeakMap<LogStore, string>();

async function open(path: string, cacheBytesMax: number): Promise<LogStore> {
  const store = await openSqliteLog({ path, cacheBytesMax });
  paths.set(store, path);
  onTestFinished(async () => await store[Symbol.asyncDispose]());
  return store;
}

/** Once answered from memory and once from the file. */
for (const cacheBytesMax of [1 << 20, 0])
  logConformance({
    name: cacheBytesMax === 0 ? "sqlite without a cache" : "sqlite",
    open: async () => await open(join(scratch(), "raft.db"), cacheBytesMax),
    reopen: async (store) => {
      await store[Symbol.asyncDispose]();
      return await open(paths.get(store) ?? "", cacheBytesMax);
    },
  });

logConformance({ name: "memory", open: async () => new MemoryLog(), reopen: null });
