/**
 * The controller's hands. On the node that leads group 0 it looks, a few times a second (and less often while all is
 * as it should be), at what is (asked of every node) and what should be (the catalogue), lets the planner decide, and carries the decisions out. It keeps nothing
 * that matters: another leader, or this one after a crash, looks anew and goes on.
 */
import type { CatalogueCommand } from "../catalog/commands.ts";
import type { ClusterView, Decision } from "../catalog/plan-types.ts";
import { plan } from "../catalog/planner.ts";
import type { Catalogue } from "../catalog/catalogue.ts";
import type { CatalogueOutcome } from "../catalog/types.ts";
import { NodeId } from "../../shards/index.ts";
import { DIVERGED, divergences, groupViews, type Divergence, type NodeGroups } from "./group-views.ts";
import type { NodeMethod, ReplyOf, RequestOf } from "./node-calls/contract.ts";

/** A node that does not say within this time what it holds counts as away in this round ... */
const ANSWER_MS = 1_000;
/** ... and for a thousand shards of a busy node it has a few seconds. */
const ANSWER_MS_PER_GROUP = 3;
/** How long a membership change may take before the next round looks again. */
const CHANGE_MS = 5_000;
/** Between two looks while nothing is wrong and nothing changes: each asks every node about every shard ... */
const CALM_MS = 2_000;
/** ... so the more shards, the rarer: a thousand, looked at every 2 s, cost an idle node a tenth of a core. */
const CALM_MS_PER_GROUP = 20;
/** The same while something is amiss: looking must not be what keeps the nodes from answering in time. */
const EVERY_MS_PER_GROUP = 2;
/** Between the first two looks after a change. */
const SOON_MS = 20;

export interface PlacementLoopOptions {
  readonly nodeId: number;
  /** `cluster.control_ms`: between two looks while something is under way or amiss. */
  readonly everyMs: number;
  /** `cluster.replace_after_ms` */
  readonly replaceAfterMs: number;
}

export interface PlacementLoopParts {
  readonly catalogue: Pick<Catalogue, "nodes" | "collections">;
  /** This node leads the catalogue, and has applied all that was committed before it did. */
  readonly leads: () => boolean;
  /** Of any node, this one included. */
  readonly ask: <M extends NodeMethod>(
    node: number,
    method: M,
    request: RequestOf<M>,
    timeoutMs: number,
  ) => Promise<ReplyOf<M>>;
  /** Through the catalogue's log. */
  readonly command: (command: CatalogueCommand) => Promise<CatalogueOutcome>;
  readonly decided: (decision: Decision) => void;
  /** The alarm: a replica's content is not the others'. Once for each time that it begins. */
  readonly diverged: (divergence: Divergence) => void;
  readonly failed: (decision: Decision | null, error: Error) => void;
  readonly nowMs: () => number;
}

export class PlacementLoop implements Disposable {
  readonly #options: PlacementLoopOptions;
  readonly #parts: PlacementLoopParts;
  #timer: NodeJS.Timeout;
  /** From one look to the next. */
  #delayMs: number;
  /** When a node last answered, by this process's clock. */
  readonly #seen = new Map<number, number>();
  /** The last answer of each node. */
  readonly #groups = new Map<number, NodeGroups>();
  /** Replicas whose divergence was told, by group and node. */
  readonly #alarmed = new Set<string>();
  #round: Promise<void> | null = null;
  #again = false;
  #ended = false;
  #led = false;

  constructor(options: PlacementLoopOptions, parts: PlacementLoopParts) {
    this.#options = options;
    this.#parts = parts;
    this.#delayMs = options.everyMs;
    this.#timer = this.#later();
  }

  /** What a change sets off is often done within milliseconds; what takes longer is asked for less and less often. */
  get #soonMs(): number {
    return Math.min(SOON_MS, this.#options.everyMs);
  }

  /** Something changed: looks now, and again soon. */
  nudge(): void {
    if (this.#ended) return;
    this.#delayMs = this.#soonMs;
    if (this.#round === null) this.#begin();
    else this.#again = true;
  }

  [Symbol.dispose](): void {
    this.#ended = true;
    clearTimeout(this.#timer);
  }

  #begin(): void {
    clearTimeout(this.#timer);
    this.#round = this.#look().then(
      () => this.#next(),
      (error: unknown) => {
        this.#parts.failed(null, asError(error));
        this.#next();
      },
    );
  }

  #next(): void {
    this.#round = null;
    if (this.#ended) return;
    if (!this.#again) {
      this.#timer = this.#later();
      return;
    }
    this.#again = false;
    this.#begin();
  }

  #later(): NodeJS.Timeout {
    return setTimeout(() => this.#begin(), this.#delayMs).unref();
  }

  async #look(): Promise<void> {
    if (!this.#parts.leads()) {
      this.#led = false;
      this.#delayMs = this.#options.everyMs;
      return;
    }
    const nowMs = this.#parts.nowMs();
    const nodes = this.#parts.catalogue.nodes();
    // A new leader of the catalogue has seen nobody yet: everybody's absence begins now.
    if (!this.#led) {
      this.#seen.clear();
      this.#groups.clear();
      for (const { nodeId } of nodes) this.#seen.set(nodeId, nowMs);
      this.#led = true;
    }
    await Promise.all(nodes.map(({ nodeId }) => this.#ask(nodeId)));
    if (this.#ended || !this.#parts.leads()) return;
    const groups = groupViews(this.#groups);
    await this.#takeOutOfService(divergences(this.#groups), groups);
    const view = this.#view(groups);
    const decisions = plan(view);
    const { size } = view.groups;
    const everyMs = Math.max(this.#options.everyMs, EVERY_MS_PER_GROUP * size);
    const calm = decisions.length === 0 && isCalm(view);
    const longest = calm ? Math.max(CALM_MS, CALM_MS_PER_GROUP * size, everyMs) : everyMs;
    this.#delayMs = Math.min(this.#delayMs * 2, longest);
    const carriedOut = await Promise.all(decisions.map((decision) => this.#carryOut(decision)));
    // What was refused is refused again a moment later: it waits, or asking would be all this node does.
    if (!carriedOut.includes(true)) return;
    this.#delayMs = this.#soonMs;
    this.#again = true;
  }

  get #answerMs(): number {
    const collections = this.#parts.catalogue.collections();
    const groups = collections.reduce((sum, { placement }) => sum + placement.length, 0);
    return ANSWER_MS + ANSWER_MS_PER_GROUP * groups;
  }

  async #ask(node: number): Promise<void> {
    try {
      this.#groups.set(node, await this.#parts.ask(node, "groups", {}, this.#answerMs));
      this.#seen.set(node, this.#parts.nowMs());
    } catch (error) {
      // Away, or too busy to say: the view tells for how long.
      this.#groups.delete(node);
      if (!this.#seen.has(node)) this.#seen.set(node, this.#parts.nowMs());
      if (!(error instanceof Error)) throw error;
    }
  }

  /** From now on they serve nobody; the planner replaces them as soon as the others can decide without them. */
  async #takeOutOfService(found: readonly Divergence[], groups: ClusterView["groups"]): Promise<void> {
    const keyOf = ({ group, node }: Pick<Divergence, "group" | "node">): string => `${group} ${node}`;
    const now = new Set(found.map(keyOf));
    // One that was taken out is not always where it can be compared; it is the same divergence until it is made anew.
    for (const [group, { diverged }] of groups) for (const node of diverged) now.add(keyOf({ group, node }));
    for (const key of this.#alarmed) if (!now.has(key)) this.#alarmed.delete(key);
    for (const divergence of found) {
      const { group, node, index, isServing } = divergence;
      if (!this.#alarmed.has(keyOf(divergence))) this.#parts.diverged(divergence);
      this.#alarmed.add(keyOf(divergence));
      if (!isServing) continue;
      const why = `${DIVERGED}as of entry ${index} its content is not what the other replicas hold`;
      try {
        await this.#parts.ask(node, "withdraw", { group, why }, ANSWER_MS);
      } catch (error) {
        this.#parts.failed(null, asError(error));
      }
    }
  }

  #view(groups: ClusterView["groups"]): ClusterView {
    const nowMs = this.#parts.nowMs();
    const { catalogue } = this.#parts;
    const nodes = catalogue.nodes();
    const alive = new Map(
      nodes.map(({ nodeId }) => {
        const answered = this.#groups.has(nodeId);
        const deadForMs = answered ? 0 : nowMs - (this.#seen.get(nodeId) ?? nowMs);
        return [nodeId, { alive: answered, deadForMs }];
      }),
    );
    return {
      nodes,
      alive,
      collections: catalogue.collections(),
      groups,
      replaceAfterMs: this.#options.replaceAfterMs,
    };
  }

  /** True when it was. */
  async #carryOut(decision: Decision): Promise<boolean> {
    this.#parts.decided(decision);
    try {
      await this.#act(decision);
      return true;
    } catch (error) {
      this.#parts.failed(decision, asError(error));
      return false;
    }
  }

  async #act(decision: Decision): Promise<void> {
    const { ask } = this.#parts;
    switch (decision.kind) {
      case "place":
        await this.#command({ kind: "placeReplica", group: decision.group, node: decision.node });
        return;
      case "drop":
        await this.#command({ kind: "dropReplica", group: decision.group, node: decision.node });
        return;
      case "removeNode":
        await this.#command({ kind: "removeNode", nodeId: decision.node });
        return;
      case "transfer": {
        const { leader, group, to } = decision;
        const outcome = await ask(
          leader,
          "transfer",
          { group, to, timeoutMs: CHANGE_MS, caller: null },
          CHANGE_MS + ANSWER_MS,
        );
        if (outcome.kind === "refused") throw new Error(outcome.why);
        return;
      }
      case "member": {
        const { leader, group, steps } = decision;
        const outcome = await ask(
          leader,
          "changeMembership",
          {
            group,
            steps: steps.map(({ kind, node }) => ({ kind, node: NodeId(node) })),
            timeoutMs: CHANGE_MS,
            caller: null,
          },
          CHANGE_MS + ANSWER_MS,
        );
        if (outcome.kind !== "applied") throw new Error(`the change ended as ${JSON.stringify(outcome)}`);
        return;
      }
    }
  }

  async #command(command: CatalogueCommand): Promise<void> {
    const outcome = await this.#parts.command(command);
    if (outcome.kind === "rejected") throw new Error(outcome.message);
  }
}

/** Everybody is there, every group is led, and every replica answers its leader and holds all that is committed. */
function isCalm({ alive, groups }: ClusterView): boolean {
  const all = [...groups.values()];
  return (
    [...alive.values()].every((node) => node.alive) &&
    all.every(
      ({ conf, commit, peers, diverged }) =>
        conf !== null &&
        !conf.joint &&
        diverged.length === 0 &&
        peers.every(({ match, state, active }) => active && state === "replicate" && match >= commit),
    )
  );
}

function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
