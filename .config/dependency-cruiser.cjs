// The layout rules of the project as a check; adr/0001 tells why each border stands.
const forbid = (name, from, to, comment) => ({ name, severity: "error", comment, from, to });
const only = (lib, allowed, comment) =>
  forbid(
    `only-${lib}`,
    { path: "^(src|shards)/", pathNot: allowed },
    { path: `node_modules/${lib}/` },
    comment,
  );

module.exports = {
  forbidden: [
    forbid("no-cycles", {}, { circular: true }, "A cycle has no first file to read."),
    forbid(
      "raft-imports-itself",
      { path: "^shards/raft/" },
      { pathNot: "^shards/raft/" },
      "The core is pure.",
    ),
    forbid(
      "shards-know-no-daemon",
      { path: "^shards/" },
      { path: "^src/" },
      "Replication carries opaque bytes.",
    ),
    forbid(
      "src-enters-by-the-doors",
      { path: "^src/" },
      { path: "^shards/", pathNot: "^shards/(index|adapters)\\.ts$" },
      "Two doors: index.ts to use it, adapters.ts to wire it.",
    ),
    forbid(
      "only-the-composition-root-wires",
      { path: "^src/", pathNot: "^src/(daemon|recovery)\\.ts$|^src/threads/" },
      { path: "^shards/adapters\\.ts$" },
      "adapters.ts is opened where the parts are put together: the daemon, its thread entries, and offline recovery.",
    ),
    forbid(
      "engine-stands-alone",
      { path: "^src/engine/" },
      { path: "^src/", pathNot: "^src/engine/" },
      "The engine knows nothing of the daemon.",
    ),
    forbid(
      "one-seam",
      { path: "^src/engine/", pathNot: "^src/engine/apply-op\\.ts$" },
      { path: "^shards/" },
      "apply-op.ts alone meets the replication layer.",
    ),
    forbid(
      "front-ends-see-api-and-auth",
      { path: "^src/(http|grpc)/" },
      { path: "^(src/(engine|cluster|catalog|cli|threads)/|shards/)" },
      "A handler cannot reach an engine except through the api's propose.",
    ),
    forbid("front-ends-are-apart", { path: "^src/http/" }, { path: "^src/grpc/" }, ""),
    forbid("front-ends-are-apart-too", { path: "^src/grpc/" }, { path: "^src/http/" }, ""),
    only("better-sqlite3", "^shards/log/|^src/engine/point-store", "Two owners of SQLite files."),
    only(
      "hnswlib-node",
      "^src/engine/hnsw\\.ts$|^src/cli/bench/bare-process\\.ts$",
      "One file makes its misuse impossible; a benchmark measures the library by itself.",
    ),
    only("fastify", "^src/http/", "HTTP stays in the HTTP front-end."),
    only("@grpc", "^shards/transport/|^src/grpc/|^src/cluster/", "gRPC stays at the borders."),
    {
      name: "no-dead-files",
      severity: "error",
      comment: "Every file serves the program: from its entry, or from a thread's or helper process's own.",
      from: {
        path: "^src/main\\.ts$|^src/threads/(consensus|engine)\\.ts$|^src/cli/bench/(bare|load)-process\\.ts$",
      },
      to: { path: "^(src|shards)/.*\\.ts$", pathNot: "^src/main\\.ts$", reachable: false },
    },
    forbid("nothing-imports-tests", { pathNot: "^test/" }, { path: "^test/" }, ""),
    forbid("nothing-imports-benches", { path: "^(src|shards)/" }, { path: "^bench/" }, ""),
    forbid(
      "declared-packages-only",
      { path: "^(src|shards)/" },
      { dependencyTypes: ["npm-dev", "npm-no-pkg", "npm-unknown", "unknown"] },
      "",
    ),
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    exclude: { path: "^dist/" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "src/tsconfig.json" },
    enhancedResolveOptions: {
      exportsFields: ["exports"],
      conditionNames: ["import", "require", "node", "default", "types"],
      extensions: [".ts", ".mjs", ".js", ".cjs", ".d.ts"],
    },
  },
};
