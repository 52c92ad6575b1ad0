/**
 * How long a fuzz test goes on, and with which seeds. Round n of a run draws everything from seed + n; a failure names
 * the seed of its round, which as FLOTILLA_SEED is the first round of the run that replays it.
 */
export const LONG = process.env["FLOTILLA_LONG"] === "1";
const GIVEN = process.env["FLOTILLA_SEED"];
/** Known in tests, new each time in the long form, unless given. */
const FIRST = GIVEN === undefined ? (LONG ? Date.now() % 1_000_000_000 : 1) : Number(GIVEN);

/** Runs rounds until the time is over, at least one; the error of a round comes with what replays it. */
export async function rounds(
  { shortMs, longMs }: { readonly shortMs: number; readonly longMs: number },
  round: (seed: number) => Promise<void>,
): Promise<number> {
  const until = performance.now() + (LONG ? longMs : shortMs);
  let seed = FIRST;
  do {
    try {
      await round(seed);
    } catch (error) {
      const said = error instanceof Error ? error.message : String(error);
      // At once: a run of minutes reports its failures only when all of it is over.
      console.error(`replay with FLOTILLA_SEED=${seed}: ${said.slice(0, 2_000)}`);
      throw new Error(`replay with FLOTILLA_SEED=${seed}: ${said}`, { cause: error });
    }
    seed++;
  } while (performance.now() < until);
  return seed - FIRST;
}

/** Rejects, naming what took too long. */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${ms} ms: ${what}`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
