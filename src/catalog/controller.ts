/**
 * Makes this node hold what the catalogue says: opens the shards placed here, closes and removes what no collection
 * has any more. The catalogue is the truth; logs and directories follow it. A step that a crash cut short is done
 * again at the next start, because both lists are compared anew.
 */
import type { VectorSpec } from "../cluster/types.ts";
import type { CatalogueCollection } from "./types.ts";

export interface ShardPlace {
  readonly group: number;
  readonly shard: number;
  readonly collection: string;
  readonly vectors: VectorSpec;
  /** The group's first voters, when this replica is one of them; empty on one that was placed here later. */
  readonly founders: readonly number[];
}

/** What the controller acts with: the consensus thread's groups and the engine threads' shards. */
export interface ShardActions {
  /** Resolves when its engine answers and its group takes part; a shard that decides alone leads by then. */
  open(place: ShardPlace): Promise<void>;
  /** Resolves when nothing can be acknowledged on it any more. */
  close(group: number): Promise<void>;
  /** Removes its log and its files; also of one that was never opened in this run. */
  destroy(group: number): Promise<void>;
  /** Groups that have a log or a directory here, open or not; without the catalogue's own. */
  present(): Promise<readonly number[]>;
}

export interface ControllerEvents {
  readonly opened: (place: ShardPlace, tookMs: number) => void;
  readonly removed: (group: number) => void;
  readonly restarting: (place: ShardPlace) => void;
  /** A shard could not be opened or removed: others go on. */
  readonly failed: (group: number, doing: "open" | "remove", error: Error) => void;
}

interface Local {
  readonly place: ShardPlace;
  /** Resolves either way. */
  opening: Promise<void>;
  state: "opening" | "open" | "failed";
  error: Error | null;
}

export class Controller {
  readonly #nodeId: number;
  readonly #actions: ShardActions;
  readonly #events: ControllerEvents;
  readonly #local = new Map<number, Local>();
  /** Removals in progress: close first, then destroy. */
  readonly #closing = new Map<number, { readonly closed: Promise<void>; readonly removed: Promise<void> }>();

  constructor(
    options: { readonly nodeId: number },
    parts: { readonly actions: ShardActions; readonly events: ControllerEvents },
  ) {
    this.#nodeId = options.nodeId;
    this.#actions = parts.actions;
    this.#events = parts.events;
  }

  /** Once, when the catalogue is up to date: removes what was left over, opens what is wanted; throws what failed to. */
  async start(collections: () => readonly CatalogueCollection[]): Promise<void> {
    const present = await this.#actions.present();
    // Asked after: what was created meanwhile is wanted, and what is no longer wanted is not opened.
    const wanted = new Set(this.#wanted(collections()).map(({ group }) => group));
    const orphans = present.filter((group) => !wanted.has(group) && !this.#closing.has(group));
    await Promise.all(orphans.map((group) => this.#remove(group, Promise.resolve()).removed));
    this.follow(collections());
    await Promise.all([...this.#local.values()].map(({ opening }) => opening));
    // What was created meanwhile and failed is its creator's to hear of.
    for (const [group, { state, place, error }] of this.#local) {
      if (state !== "failed" || !wanted.has(group)) continue;
      const name = `shard ${place.shard} of collection ${place.collection}`;
      throw new Error(`${name} failed to open: ${error?.message}`, { cause: error });
    }
  }

  /** Begins what a change of the catalogue asks for. */
  follow(collections: readonly CatalogueCollection[]): void {
    const places = this.#wanted(collections);
    const wanted = new Set(places.map(({ group }) => group));
    for (const group of [...this.#local.keys()]) if (!wanted.has(group)) this.#drop(group);
    for (const place of places) if (!this.#local.has(place.group)) this.#open(place);
  }

  /**
   * Closes the shard and opens it again, whatever became of it; one that is opening is waited for instead. Resolves when
   * it serves; throws why it does not.
   */
  async restart(group: number): Promise<void> {
    const local = this.#local.get(group);
    if (local === undefined) throw new Error(`group ${group} has no place on this node`);
    if (local.state !== "opening") {
      this.#events.restarting(local.place);
      this.#open(local.place, this.#actions.close(group));
    }
    await this.opened([group]);
  }

  /** Resolves when all of them are open; throws the first failure. */
  async opened(groups: readonly number[]): Promise<void> {
    for (const group of groups) {
      const local = this.#local.get(group);
      await local?.opening;
      if (local === undefined) throw new Error(`group ${group} was removed while it was being opened`);
      if (local.error !== null) throw local.error;
    }
  }

  /** Resolves when nothing can be acknowledged on any of them. */
  async closed(groups: readonly number[]): Promise<void> {
    for (const group of groups) await this.#closing.get(group)?.closed;
  }

  /** Resolves when everything that was begun is done: nothing is being removed any more. */
  async settled(): Promise<void> {
    while (this.#closing.size > 0) {
      await Promise.all([...this.#closing.values()].map(({ removed }) => removed));
    }
  }

  /** Why shards of this node cannot serve, one line each. */
  problems(): readonly string[] {
    return [...this.#local.values()].flatMap(({ place, state, error }) => {
      const name = `shard ${place.shard} of collection ${place.collection}`;
      if (state === "opening") return [`${name} is opening`];
      return state === "failed" ? [`${name} failed to open: ${error?.message}`] : [];
    });
  }
  error(group: number): Error | null {
    return this.#local.get(group)?.error ?? null;
  }
  isOpen(group: number): boolean {
    return this.#local.get(group)?.state === "open";
  }
  places(): readonly ShardPlace[] {
    return [...this.#local.values()].map(({ place }) => place);
  }

  #wanted(collections: readonly CatalogueCollection[]): readonly ShardPlace[] {
    return collections.flatMap(({ name, vectors, placement }) =>
      placement.flatMap(({ shard, group, replicas, founders }) => {
        const mine = replicas.find(({ node }) => node === this.#nodeId);
        if (mine === undefined) return [];
        return [{ group, shard, collection: name, vectors, founders: mine.founding ? founders : [] }];
      }),
    );
  }

  /** `closed`: what has to be over before. A replica may come back while the one before it is still being removed. */
  #open(place: ShardPlace, closed = this.#closing.get(place.group)?.removed): void {
    const startedAtMs = performance.now();
    const local: Local = { place, opening: Promise.resolve(), state: "opening", error: null };
    const opened =
      closed === undefined ? this.#actions.open(place) : closed.then(() => this.#actions.open(place));
    local.opening = opened.then(
      () => {
        local.state = "open";
        this.#events.opened(place, performance.now() - startedAtMs);
      },
      (error: unknown) => {
        local.state = "failed";
        local.error = error instanceof Error ? error : new Error(String(error));
        this.#events.failed(place.group, "open", local.error);
      },
    );
    this.#local.set(place.group, local);
  }

  #drop(group: number): void {
    const local = this.#local.get(group);
    this.#local.delete(group);
    this.#remove(group, local?.opening ?? Promise.resolve());
  }

  #remove(
    group: number,
    after: Promise<void>,
  ): { readonly closed: Promise<void>; readonly removed: Promise<void> } {
    const failed = (error: unknown): void =>
      this.#events.failed(group, "remove", error instanceof Error ? error : new Error(String(error)));
    // What a full disk keeps from being saved is destroyed all the same: it is what gives the space back.
    const closed = after.then(() => this.#actions.close(group)).catch(failed);
    const removed = closed
      .then(() => this.#actions.destroy(group))
      .then(() => this.#events.removed(group), failed)
      .finally(() => {
        if (this.#closing.get(group) === steps) this.#closing.delete(group);
      });
    const steps = { closed, removed };
    this.#closing.set(group, steps);
    return steps;
  }
}
