/** The value of `--name value` among a benchmark's arguments. Throws when it is no number. */
export function flag(args: readonly string[], name: string, fallback: number): number {
  const at = args.indexOf(name);
  if (at === -1) return fallback;
  const value = Number(args[at + 1]);
  if (Number.isFinite(value)) return value;
  throw new RangeError(`${name} needs a number, not ${args[at + 1] ?? "nothing"}`);
}
