/**
 * What a client may ask for at most. The rows stand in the table of options; here is how they refuse: an error names
 * the option and the value in force, so that whoever reads it knows what to change.
 */
import { OPTIONS, type Config, type OptionName, type OptionRow } from "../config/options.ts";
import { ApiError, type ErrorCode } from "./errors.ts";

export type Limits = Config["limits"];
export type LimitName = keyof Limits;

const snake = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** `batchPoints` as `limits.batch_points`. */
export const optionOf = (name: LimitName): OptionName => `limits.${snake(name)}` as OptionName;

/** Throws unless `value` is within the limit: `what` is the thing counted, as the subject of a sentence. */
export function within(
  limits: Limits,
  name: LimitName,
  value: number,
  what: string,
  code: ErrorCode = "INVALID",
): void {
  if (value > limits[name])
    throw new ApiError(code, `Wrong input: ${what} is ${value}, ${allowed(limits, name)}`);
}

/** INVALID unless min <= value <= the limit. */
export function between(limits: Limits, name: LimitName, value: number, min: number, what: string): void {
  if (value < min) throw new ApiError("INVALID", `Wrong input: ${what} must be ${min} or more, not ${value}`);
  within(limits, name, value, what);
}

/** "at most 10000 are allowed (option `limits.batch_points`)" */
export function allowed(limits: Limits, name: LimitName): string {
  const row: OptionRow = OPTIONS[optionOf(name)];
  const unit = row.kind === "number" && row.unit === "bytes" ? " bytes" : "";
  return `at most ${limits[name]}${unit} are allowed (option \`${optionOf(name)}\`)`;
}
