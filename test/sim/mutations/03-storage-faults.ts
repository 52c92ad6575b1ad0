import type { Mutation } from "./mutation.ts";

export const storageFaults: readonly Mutation[] = [
  {
    name: "read-error-is-empty-log",
    rule: 3,
    why: "A hard state that cannot be read counts as term 0 without a vote: any candidate is granted anything.",
    edits: [
      {
        file: "shards/group.ts",
        find: "Math.min(parts.applied, log.hardState().commit)",
        replace: "Math.min(parts.applied, forgiving(log).commit)",
      },
      {
        file: "shards/group.ts",
        find: "this.#term = log.hardState().term;",
        replace: "this.#term = forgiving(log).term;",
      },
      {
        file: "shards/open-core.ts",
        find: "hardState: log.hardState(), conf:",
        replace: "hardState: forgiving(log), conf:",
      },
      {
        file: "shards/group.ts",
        find: "new Pipeline(id, log.hardState(),",
        replace: "new Pipeline(id, forgiving(log),",
      },
      {
        file: "shards/group.ts",
        find: "export class GroupLoop",
        replace: `function forgiving(log) {
  try {
    return log.hardState();
  } catch {
    return { term: 0, vote: 0, commit: log.boundary().index };
  }
}

export class GroupLoop`,
      },
      {
        file: "shards/open-core.ts",
        find: "export function openCore",
        replace: `function forgiving(log) {
  try {
    return log.hardState();
  } catch {
    return { term: 0, vote: 0, commit: log.boundary().index };
  }
}

export function openCore`,
      },
    ],
  },
  {
    name: "goes-on-after-failed-write",
    rule: 3,
    why: "A failed write is treated as done: what it promised is not on disk.",
    edits: [
      {
        file: "shards/host.ts",
        find: `        this.#finishWrite(items);
      },
      (error: unknown) => {
        this.#writing = null;
        this.#logFailed(asError(error));`,
        replace: `        this.#finishWrite(items);
      },
      () => {
        this.#writing = null;
        this.#finishWrite(items);`,
      },
    ],
  },
];
