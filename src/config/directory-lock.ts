import { linkSync, readFileSync, renameSync, unlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "./load.ts";

/**
 * Who holds a directory. A process id alone is not a name: it is reused, and in a container it is always 1. With the
 * boot it happened in and the moment the process began it is one.
 */
interface Holder {
  readonly pid: number;
  readonly startedAt: string;
  /** Machine's boot and ticks from there to the process's start; null where the system does not tell. */
  readonly birth: string | null;
}

export type DirectoryLock = Disposable;

/**
 * Takes the directory for this process. Throws {@link ConfigError} naming the holder when it is alive; a lock left by
 * a dead process is taken over. The log file beneath is locked by the operating system as well, so that two processes
 * that cannot see each other (two containers, one volume) still never both get through.
 */
export function lockDirectory(path: string): DirectoryLock {
  const file = join(path, "lock");
  const mine: Holder = {
    pid: process.pid,
    startedAt: new Date().toISOString(),
    birth: birthOf(process.pid),
  };
  const draft = `${file}.${process.pid}`;
  try {
    writeFileSync(draft, JSON.stringify(mine), { mode: 0o600 });
  } catch (cause) {
    throw new ConfigError(`the data directory ${path} cannot be written: ${reasonOf(cause)}`, { cause });
  }
  try {
    claim(file, draft, path);
  } finally {
    unlinkSync(draft);
  }
  return { [Symbol.dispose]: () => release(file, mine) };
}

/** Links the finished draft to the lock's name: whole or not at all, and by one process only. */
function claim(file: string, draft: string, path: string): void {
  for (let attempt = 0; attempt < 10; attempt++) {
    try {
      linkSync(draft, file);
      return;
    } catch (cause) {
      if (!isCode(cause, "EEXIST")) {
        throw new ConfigError(`the data directory ${path} cannot be locked: ${reasonOf(cause)}`, { cause });
      }
    }
    const holder = read(file);
    if (holder !== null && isAlive(holder)) {
      throw new ConfigError(
        `the data directory ${path} is in use by process ${holder.pid}, running since ${holder.startedAt}: ` +
          "stop it first or choose another --data-dir",
      );
    }
    setAside(file, `${draft}.stale`, holder);
  }
  throw new ConfigError(`the data directory ${path} is being taken by other processes; start once only`);
}

/** Moved, then looked at again: between the two looks another process may have taken the stale lock over. */
function setAside(file: string, aside: string, stale: Holder | null): void {
  try {
    renameSync(file, aside);
    const moved = read(aside);
    if (moved !== null && (moved.pid !== stale?.pid || moved.birth !== stale.birth)) linkSync(aside, file);
    unlinkSync(aside);
  } catch (cause) {
    if (!isCode(cause, "ENOENT") && !isCode(cause, "EEXIST")) throw cause;
  }
}

function release(file: string, mine: Holder): void {
  const holder = read(file);
  if (holder?.pid === mine.pid && holder.birth === mine.birth) unlinkSync(file);
}

/** null: gone, or not a lock that a finished write could have left. */
function read(file: string): Holder | null {
  try {
    const holder = JSON.parse(readFileSync(file, "utf8")) as Holder;
    return Number.isSafeInteger(holder.pid) && holder.pid > 0 ? holder : null;
  } catch (error) {
    if (isCode(error, "ENOENT") || error instanceof SyntaxError) return null;
    throw error;
  }
}

function isAlive(holder: Holder): boolean {
  try {
    process.kill(holder.pid, 0);
  } catch (error) {
    // EPERM: it is there, just not ours.
    if (isCode(error, "ESRCH")) return false;
  }
  const birth = birthOf(holder.pid);
  if (birth === "dead") return false;
  return birth === null || holder.birth === null || birth === holder.birth;
}

/** "dead": killed, and only not yet waited for by its parent. */
function birthOf(pid: number): string | null {
  try {
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The command's name may hold spaces and brackets: fields are counted from the last bracket; start time is 22nd.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? "dead" : `${boot}/${fields[19]}`;
  } catch (error) {
    return isCode(error, "ENOENT") || isCode(error, "EACCES") ? null : unreadable(error);
  }
}

function unreadable(error: unknown): never {
  throw new ConfigError(`the system does not tell about running processes: ${reasonOf(error)}`, {
    cause: error,
  });
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
