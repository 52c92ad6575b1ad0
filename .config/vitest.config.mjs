import { defineConfig } from "vitest/config";
import { fileURLToPath } from "node:url";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  // No cache in node_modules: a run leaves no file behind.
  cacheDir: ".cache/vitest",
  test: {
    include: ["test/**/*.test.ts"],
    // One process per worker: native addons and signals behave as they do in the daemon.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 30_000,
    hookTimeout: 60_000,
    reporters: ["default"],
  },
});
