/** Which process is at the other end of a loopback connection: Linux says so in /proc. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Why senders cannot be told apart here; null: they can. */
export function senderProblem(): string | null {
  return process.platform === "linux"
    ? null
    : `finding the sender of a connection needs Linux's /proc, this is ${process.platform}`;
}

/** The one of `pids` that connected from `fromPort` to `toPort` of this machine; null when it is gone already. */
export function senderOf(fromPort: number, toPort: number, pids: readonly number[]): number | null {
  const socket = socketBetween(fromPort, toPort);
  return socket === null ? null : (pids.find((pid) => holds(pid, `socket:[${socket}]`)) ?? null);
}

/** The inode of the socket with these local and remote ports. */
function socketBetween(local: number, remote: number): string | null {
  for (const line of readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1)) {
    const columns = line.trim().split(/\s+/);
    if (portOf(columns[1]) === local && portOf(columns[2]) === remote) return columns[9] ?? null;
  }
  return null;
}

/** `0100007F:1F90`: address and port in hexadecimal. */
function portOf(address: string | undefined): number {
  return parseInt(address?.split(":")[1] ?? "", 16);
}

function holds(pid: number, link: string): boolean {
  const directory = `/proc/${pid}/fd`;
  try {
    return readdirSync(directory).some((fd) => linkOf(`${directory}/${fd}`) === link);
  } catch (error) {
    // A process that has just ended has no directory any more.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
    throw error;
  }
}

function linkOf(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch (error) {
    // Descriptors come and go while they are looked at.
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
