/** A writer with a memory: it knows what its points must look like, and what an unanswered request leaves open. */
import { HttpClientError } from "../../src/cli/http-client.ts";
import type { HttpClient } from "../../src/cli/http-client.ts";
import { call, collectionPath, isRecord, RestError } from "../../src/cli/rest.ts";

export const DIMENSION = 8;
const IDS_PER_WRITER = 200;
const POINTS_PER_REQUEST = 20;

/** A whole number from 0 up to but not including `bound`. */
export type Dice = (bound: number) => number;

interface Content {
  readonly vector: readonly number[];
  readonly payload: Readonly<Record<string, unknown>>;
}
type State = ReadonlyMap<number, Content>;

interface Request {
  readonly method: "PUT" | "POST";
  readonly path: string;
  readonly body: object;
  /** What the points look like once it is applied. */
  readonly after: State;
}

export interface Totals {
  acknowledged: number;
  unclear: number;
  unclearApplied: number;
  /** Of these, not yet visible at the first look after the restart. */
  visibleLate: number;
}

/** An id that no writer uses. */
export const BARRIER_ID = 1_000_000;

/** Writes to its own ids only, one request after the other, so that its own record decides what is right. */
export class Writer {
  readonly #number: number;
  readonly #dice: Dice;
  readonly #totals: Totals;
  #state: State = new Map();
  /** Set while a request has no answer: the points look like this or like `#state`. */
  #open: State | null = null;
  #sequence = 0;

  constructor(number: number, dice: Dice, totals: Totals) {
    this.#number = number;
    this.#dice = dice;
    this.#totals = totals;
  }

  /** Writes until the node is gone. */
  async writeUntilLost(client: HttpClient, collection: string): Promise<void> {
    for (;;) {
      const request = this.#draw(collection);
      this.#open = request.after;
      try {
        await call(client, request.method, request.path, request.body);
      } catch (error) {
        if (error instanceof HttpClientError) return;
        if (!(error instanceof RestError)) throw error;
        // Refused, now or for good, is without effect; anything else leaves open whether it was applied.
        const refused = (error.status < 500 && error.status !== 408) || error.status === 503;
        if (!refused) return;
        this.#open = null;
        continue;
      }
      this.#state = request.after;
      this.#open = null;
      this.#totals.acknowledged++;
    }
  }

  /**
   * Compares every point with the record. Throws with what is missing, left over or half applied, and takes what was
   * found as the record from then on. `settle` resolves when nothing written before it can still appear: an
   * unanswered request may lie in the log and be applied later than the first look.
   */
  async verify(client: HttpClient, collection: string, settle: () => Promise<void>): Promise<void> {
    const before = this.#state;
    const after = this.#open;
    this.#open = null;
    this.#state = await this.#look(client, collection);
    const missing = difference(before, this.#state);
    if (after === null) {
      if (missing !== null) throw new Error(`an acknowledged operation is not there: ${missing}`);
      return;
    }
    this.#totals.unclear++;
    if (missing === null) {
      await settle();
      this.#state = await this.#look(client, collection);
      if (difference(before, this.#state) === null) return;
      this.#totals.visibleLate++;
    }
    const partial = difference(after, this.#state);
    if (partial !== null)
      throw new Error(
        `neither what was acknowledged (${missing}) nor that and the whole of the unanswered operation (${partial})`,
      );
    this.#totals.unclearApplied++;
  }

  async #look(client: HttpClient, collection: string): Promise<State> {
    const ids = Array.from({ length: IDS_PER_WRITER }, (_, i) => this.#id(i));
    const shape = { with_payload: true, with_vector: true };
    return stateOf(await call(client, "POST", collectionPath(collection, "/points"), { ids, ...shape }));
  }

  get points(): number {
    return this.#state.size;
  }

  #id(slot: number): number {
    return this.#number * IDS_PER_WRITER + slot;
  }

  #some(): number[] {
    const count = 1 + this.#dice(POINTS_PER_REQUEST);
    const slots = new Set(Array.from({ length: count }, () => this.#dice(IDS_PER_WRITER)));
    return [...slots].map((slot) => this.#id(slot));
  }

  #draw(collection: string): Request {
    const at = (rest: string) => collectionPath(collection, `${rest}?wait=${this.#dice(4) > 0}`);
    const ids = this.#some();
    const mark = ++this.#sequence;
    switch (this.#dice(6)) {
      case 0:
        return {
          method: "POST",
          path: at("/points/delete"),
          body: { points: ids },
          after: this.#without(ids),
        };
      case 1: {
        const after = this.#merged(this.#state, ids, { mark });
        return {
          method: "POST",
          path: at("/points/payload"),
          body: { points: ids, payload: { mark } },
          after,
        };
      }
      case 2: {
        const others = this.#some();
        const { points, after } = this.#upserted(ids, mark);
        const deleted = new Map(after);
        for (const id of others) deleted.delete(id);
        const kept = ids.filter((id) => !others.includes(id));
        const operations = [
          { upsert: { points } },
          { delete: { points: others } },
          { set_payload: { points: kept, payload: { also: mark } } },
        ];
        return {
          method: "POST",
          path: at("/points/batch"),
          body: { operations: kept.length === 0 ? operations.slice(0, 2) : operations },
          after: this.#merged(deleted, kept, { also: mark }),
        };
      }
      default: {
        const { points, after } = this.#upserted(ids, mark);
        return { method: "PUT", path: at("/points"), body: { points }, after };
      }
    }
  }

  #upserted(
    ids: readonly number[],
    mark: number,
  ): { readonly points: readonly object[]; readonly after: State } {
    const after = new Map(this.#state);
    const points = ids.map((id) => {
      const vector = Array.from({ length: DIMENSION }, (_, i) => (i === 0 ? mark % 4096 : this.#dice(256)));
      const payload = { writer: this.#number, mark, of: ids.length };
      after.set(id, { vector, payload });
      return { id, vector, payload };
    });
    return { points, after };
  }

  #without(ids: readonly number[]): State {
    const after = new Map(this.#state);
    for (const id of ids) after.delete(id);
    return after;
  }

  #merged(state: State, ids: readonly number[], payload: object): State {
    const after = new Map(state);
    for (const id of ids) {
      const content = after.get(id);
      if (content !== undefined)
        after.set(id, { vector: content.vector, payload: { ...content.payload, ...payload } });
    }
    return after;
  }
}

function stateOf(found: unknown): State {
  const state = new Map<number, Content>();
  for (const point of Array.isArray(found) ? (found as unknown[]) : []) {
    if (!isRecord(point)) continue;
    const payload = isRecord(point["payload"]) ? point["payload"] : {};
    state.set(Number(point["id"]), { vector: point["vector"] as number[], payload });
  }
  return state;
}

/** null when both are the same; else the first point that is not. */
export function difference(wanted: State, found: State): string | null {
  for (const id of new Set([...wanted.keys(), ...found.keys()])) {
    const [a, b] = [text(wanted.get(id)), text(found.get(id))];
    if (a !== b) return `point ${id} is ${b}, should be ${a}`;
  }
  return null;
}

function text(content: Content | undefined): string {
  if (content === undefined) return "absent";
  const entries = Object.entries(content.payload).sort(([a], [b]) => (a < b ? -1 : 1));
  return JSON.stringify([content.vector, entries]);
}
