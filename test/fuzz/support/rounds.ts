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

const SLICE_MS = 250;

/**
 * Rejects, naming what took too long. Counted in slices, of which one is lost however long this process stands still:
 * when the machine is suspended, or all of its processes are, nobody has kept anybody waiting.
 */
export async function within<T>(ms: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  let left = Math.ceil(ms / SLICE_MS);
  const late = new Promise<never>((_, reject) => {
    timer = setInterval(() => {
      if (--left <= 0) reject(new Error(`not within ${ms} ms: ${what}`));
    }, SLICE_MS);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearInterval(timer);
  }
}
