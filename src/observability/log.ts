import { createRequire } from "node:module";
import { pino, type Logger } from "pino";
import type * as PinoPretty from "pino-pretty";
import type { Config } from "../config/options.ts";

export type Log = Logger;

/** The node's log on standard error; standard output belongs to the `ready` line and to answers of commands. */
export function createLog(options: Config["logging"]): Log {
  const pretty = options.format === "pretty" || (options.format === "auto" && process.stderr.isTTY);
  const settings = { level: options.level, base: null, timestamp: pino.stdTimeFunctions.isoTime };
  // Synchronous: the last line before an exit is the one that matters most.
  if (!pretty) return pino(settings, pino.destination({ dest: 2, sync: true }));
  const { PinoPretty: prettified } = createRequire(import.meta.url)("pino-pretty") as typeof PinoPretty;
  return pino(settings, prettified({ destination: 2, sync: true, singleLine: true }));
}
