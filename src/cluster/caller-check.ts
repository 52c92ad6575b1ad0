/**
 * The second look at who asks: a node that another one asks to read or to change something makes its own permit from
 * the caller's rights, for what is really to be done and for the collection the group belongs to in its own catalogue,
 * and looks at its own clock whether the caller's token still counts.
 */
import type { ProposalOutcome } from "../../shards/index.ts";
import { ApiError } from "../api/errors.ts";
import type { Guard } from "../auth/guard.ts";
import { afterFailure, afterSuccess } from "../auth/outcome.ts";
import {
  authorize,
  authorizeCluster,
  type Action,
  type ClusterPermit,
  type CollectionPermit,
  type Permit,
  type Principal,
} from "../auth/permit.ts";
import { allows } from "../auth/rights.ts";
import { checkStillValid } from "../auth/travelling.ts";
import { decodeEntry, type CatalogueCommand } from "../catalog/commands.ts";
import { CATALOGUE } from "./command-path.ts";
import type { Caller, RequestOf } from "./node-calls/contract.ts";
import type { CatalogueView, Placements } from "./placements.ts";

/** Quotas and the audit log of this node. */
export type ChangeGuard = Pick<Guard, "checkChange" | "record">;

export interface CallerCheckParts {
  readonly placements: Pick<Placements, "collectionOf">;
  readonly catalogue: Pick<CatalogueView, "aliases">;
  readonly guard: ChangeGuard | null;
  /** Milliseconds since 1970: a token may end while its request is under way. */
  readonly nowMs: () => number;
}

/** A change that may be proposed; what became of it is for the audit log. */
export interface Admitted {
  /** null: the asking node keeps house. */
  readonly permit: Permit<"write" | "configure" | "manage"> | null;
  readonly settled: (outcome: ProposalOutcome) => void;
  readonly failed: (error: unknown) => void;
}

/** What nodes do by themselves: joining, and what the controller decides. */
const HOUSEKEEPING: readonly CatalogueCommand["kind"][] = [
  "registerNode",
  "leaveNode",
  "removeNode",
  "placeReplica",
  "dropReplica",
];

export class CallerCheck {
  readonly #parts: CallerCheckParts;

  constructor(parts: CallerCheckParts) {
    this.#parts = parts;
  }

  /** UNAUTHENTICATED or FORBIDDEN when the caller may not read the group; null: this node knows no such group. */
  read(group: number, caller: Caller, from: number): CollectionPermit<"read"> | null {
    const collection = this.#parts.placements.collectionOf(group);
    if (collection === null) return null;
    return this.#onCollection(this.#named(caller, from), "read", collection.name);
  }

  /** What no node does by itself. */
  operator(caller: Caller, from: number): ClusterPermit<"manage"> {
    return authorizeCluster(this.#named(caller, from), "manage");
  }

  /** Of voters and leaders. The controller asks for them too. */
  manage(caller: Caller): ClusterPermit<"manage"> | null {
    if (caller === null) return null;
    checkStillValid(caller, this.#parts.nowMs());
    return authorizeCluster(caller, "manage");
  }

  /**
   * UNAUTHENTICATED or FORBIDDEN when the caller may not do this, and whatever forbids changes on this node
   * (OUT_OF_SPACE, an audit log that cannot be written). null: this node knows no such group.
   */
  propose(
    { group, data, caller, adds }: Pick<RequestOf<"propose">, "group" | "data" | "caller" | "adds">,
    from: number,
  ): Admitted | null {
    const { guard, placements } = this.#parts;
    const command = group === CATALOGUE.group ? commandOf(data) : null;
    const collection = placements.collectionOf(group);
    if (command === null && collection === null) return null;
    if (command !== null && caller === null && HOUSEKEEPING.includes(command.kind)) return HOUSE_KEPT;
    const { action, target } = command === null ? WRITE : rightFor(command);
    const name = collection?.name ?? target;
    const about = {
      request: "-",
      actor: caller?.name ?? `node ${from}`,
      credential: caller?.credential.kind ?? "none",
      operation: `forwarded ${command?.kind ?? "write"}`,
      target: name === null ? {} : { collection: name },
      remote: `node ${from}`,
    };
    try {
      const permit = this.#permit(this.#named(caller, from), action, name);
      guard?.checkChange(action, adds);
      return {
        permit,
        settled: (outcome) => {
          const happened = happenedTo(
            outcome,
            collection?.shards.find((shard) => shard.group === group)?.shard,
          );
          if (happened !== null) guard?.record(action, { ...about, ...happened });
        },
        failed: (error) => guard?.record(action, { ...about, ...afterFailure(error) }),
      };
    } catch (error) {
      guard?.record(action, { ...about, ...afterFailure(error), outcome: "refused" });
      throw error;
    }
  }

  #named(caller: Caller, from: number): Principal {
    if (caller === null) throw new ApiError("FORBIDDEN", `Forbidden: node ${from} does not say who wants it`);
    checkStillValid(caller, this.#parts.nowMs());
    return caller;
  }

  /** The rights may name a collection by itself or by one of its aliases. `target` null: of the cluster. */
  #permit<A extends Action>(caller: Principal, action: A, target: string | null): Permit<A> {
    return target === null ? authorizeCluster(caller, action) : this.#onCollection(caller, action, target);
  }

  #onCollection<A extends Action>(caller: Principal, action: A, name: string): CollectionPermit<A> {
    if (allows(caller.rights, action, name)) return authorize(caller, action, name);
    const alias = this.#parts.catalogue
      .aliases()
      .find((known) => known.collection === name && allows(caller.rights, action, known.alias));
    return authorize(caller, action, alias?.alias ?? name);
  }
}

const HOUSE_KEPT: Admitted = { permit: null, settled: () => undefined, failed: () => undefined };

/** null: it was not this node's to do, and another one tells what became of it. */
function happenedTo(outcome: ProposalOutcome, shard = 0) {
  switch (outcome.kind) {
    case "applied":
    case "committed": {
      const done = afterSuccess(`${shard}=${outcome.index}`);
      const refused = outcome.kind === "applied" && isRejected(outcome.result);
      return refused ? { ...done, outcome: "failed" as const, why: "it was rejected when applied" } : done;
    }
    case "unknown": {
      const { term, index } = outcome;
      const unknown = [{ shard, term, index }];
      return afterFailure(new ApiError("OUTCOME_UNKNOWN", "it may still happen", { unknown }));
    }
    case "notLeader":
    case "overwritten":
    case "dropped":
    case "stopped":
      return null;
  }
}

const isRejected = (result: unknown): boolean =>
  typeof result === "object" && result !== null && "kind" in result && result.kind === "rejected";

const WRITE = { action: "write", target: null } as const;

interface Right {
  readonly action: "configure" | "manage";
  /** null: of the cluster. */
  readonly target: string | null;
}

function rightFor(command: CatalogueCommand): Right {
  switch (command.kind) {
    case "createCollection":
      return { action: "manage", target: command.collection.name };
    case "deleteCollection":
      return { action: "manage", target: command.name };
    case "updateCollection":
      return {
        action: command.patch.replicationFactor === undefined ? "configure" : "manage",
        target: command.name,
      };
    case "changeAliases":
    case "registerNode":
    case "leaveNode":
    case "removeNode":
    case "placeReplica":
    case "dropReplica":
      return { action: "manage", target: null };
  }
}

function commandOf(data: Uint8Array): CatalogueCommand {
  const entry = decodeEntry(data);
  if (entry !== null) return entry.command;
  throw new ApiError(
    "INVALID",
    "Wrong input: another node proposed a command that this version does not know",
  );
}
