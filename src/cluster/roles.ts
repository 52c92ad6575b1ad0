/** Who leads each group, as the consensus thread last told: the front decides by it without asking. */

export interface GroupRole {
  readonly role: string;
  readonly leader: number | null;
  readonly term: number;
  /** Why the group takes no part any more. */
  readonly stopped: { readonly why: string; readonly code: string | null } | null;
}

const UNKNOWN: GroupRole = { role: "follower", leader: null, term: 0, stopped: null };

export class Roles {
  readonly #nodeId: () => number | null;
  readonly #groups = new Map<number, GroupRole>();
  readonly #lives = new Map<number, object>();
  readonly #waiting = new Map<number, Set<() => void>>();
  readonly #watching = new Map<number, Set<() => void>>();

  /** `nodeId`: null until this node has its place in a cluster. */
  constructor(nodeId: () => number | null) {
    this.#nodeId = nodeId;
  }

  of(group: number): GroupRole {
    return this.#groups.get(group) ?? UNKNOWN;
  }
  /** This node believes that it leads the group: elected, known to itself as the leader, and in service. */
  leads(group: number): boolean {
    return this.of(group).stopped === null && this.isElected(group);
  }
  /** The same of a replica that was taken out of service too: its core holds the office until it hands it over. */
  isElected(group: number): boolean {
    const { role, leader } = this.of(group);
    return role === "leader" && leader === this.#nodeId();
  }

  /** Merges what is new into what is known. */
  changed(group: number, change: Partial<GroupRole>): void {
    if (!this.#groups.has(group)) this.#lives.set(group, {});
    this.#groups.set(group, { ...this.of(group), ...change });
    const waiting = this.#waiting.get(group);
    this.#waiting.delete(group);
    for (const wake of waiting ?? []) wake();
    for (const tell of [...(this.#watching.get(group) ?? [])]) tell();
  }
  /** Something was told of the group, and it was not forgotten since: a replica of it is open here. */
  knows(group: number): boolean {
    return this.#groups.has(group);
  }
  /** Calls back after each change; the returned function ends that. */
  watch(group: number, listener: () => void): () => void {
    const watching = this.#watching.get(group) ?? new Set();
    this.#watching.set(group, watching);
    watching.add(listener);
    return () => {
      watching.delete(listener);
      if (watching.size === 0 && this.#watching.get(group) === watching) this.#watching.delete(group);
    };
  }
  /**
   * Stands for the replica that is known now: what was known of one before says nothing of the one that follows. null:
   * nothing was told of any.
   */
  life(group: number): object | null {
    return this.#lives.get(group) ?? null;
  }
  forget(group: number): void {
    this.#groups.delete(group);
    this.changed(group, {});
    this.#groups.delete(group);
    this.#lives.delete(group);
  }

  /** Resolves at once or when this node leads; also when the group stopped. Throws the signal's reason. */
  async leading(group: number, signal: AbortSignal): Promise<void> {
    while (!this.leads(group) && this.of(group).stopped === null) await this.#change(group, signal);
  }

  #change(group: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    return new Promise((resolve, reject) => {
      const waiting = this.#waiting.get(group) ?? new Set();
      this.#waiting.set(group, waiting);
      const onAbort = (): void => {
        waiting.delete(wake);
        reject(signal.reason as Error);
      };
      const wake = (): void => {
        signal.removeEventListener("abort", onAbort);
        resolve();
      };
      waiting.add(wake);
      signal.addEventListener("abort", onAbort, { once: true });
    });
  }
}
