/** What a figure depends on beside the program: processor, memory, runtime, build. */
import { readFileSync } from "node:fs";
import { execFileSync } from "node:child_process";
import { availableParallelism, cpus, totalmem } from "node:os";
import { buildFacts } from "../project.ts";
import type { BuildFacts } from "../project.ts";

export interface MachineFacts {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly platform: string;
  readonly node: string;
  readonly build: BuildFacts;
}

export function machineFacts(): MachineFacts {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    platform: `${process.platform} ${process.arch}`,
    node: process.versions.node,
    build: buildFacts(),
  };
}

/** Resident memory of another process; null where the system does not tell. */
export function residentBytes(pid: number): number | null {
  if (process.platform === "linux") {
    const kib = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return kib === undefined ? null : Number(kib) * 1024;
  }
  if (process.platform === "win32") return null;
  return Number(execFileSync("ps", ["-o", "rss=", "-p", String(pid)], { encoding: "utf8" })) * 1024;
}
