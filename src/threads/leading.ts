import { setTimeout as pause } from "node:timers/promises";
import type { GroupStatus, ReadOutcome, Term } from "../../shards/index.ts";

/** Between two tries while too many reads wait already: only turns of this thread answer them. */
const AGAIN_MS = 10;

/**
 * Resolves when all that was acknowledged before this node was elected is applied here; false: it does not lead in
 * this term any more, or the group stopped.
 */
export async function hasCaughtUp(
  group: {
    readIndex(): Promise<ReadOutcome>;
    status(): Pick<GroupStatus, "role" | "term">;
  },
  term: Term,
  wait: (ms: number) => Promise<unknown> = pause,
): Promise<boolean> {
  for (;;) {
    const outcome = await group.readIndex();
    const { role, term: now } = group.status();
    if (role !== "leader" || now !== term) return false;
    if (outcome.kind !== "dropped") return outcome.kind === "ready";
    await wait(AGAIN_MS);
  }
}
