/**
 * Thrown when the code itself is wrong. Nobody catches it except the host's supervisor, which stops the one group
 * it came from and keeps serving the others. Never thrown for input from peers, disk or users.
 */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/** States what always holds. The claim says what *should* be true; pass a thunk when it carries numbers. */
export function invariant(holds: boolean, claim: string | (() => string)): asserts holds {
  if (!holds) throw new InvariantViolation(typeof claim === "string" ? claim : claim());
}

/**
 * The same for code that runs for every entry: `if (broken) violated(...)`, where even a thunk would have to be made
 * anew each time.
 */
export function violated(claim: string): never {
  throw new InvariantViolation(claim);
}

/** Ends a switch over a union: the compiler names the case that was forgotten. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`no such case: ${JSON.stringify(value)}`);
}
