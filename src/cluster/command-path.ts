/** Commands to the catalogue, from any node: into group 0's log at its leader, and until this node's copy has them. */
import { ApiError } from "../api/errors.ts";
import { encodeEntry, type CatalogueCommand } from "../catalog/commands.ts";
import type { CatalogueCollection, CatalogueOutcome, Rejected } from "../catalog/types.ts";
import { NodeCallError } from "./node-calls/errors.ts";
import { asApiError } from "./outcomes.ts";
import type { Consensus, Peers } from "./ports.ts";
import type { Proposer } from "./proposer.ts";
import type { CallOptions } from "./types.ts";

export interface CommandPathOptions {
  readonly nodeId: number;
  /** Names this run of the process. */
  readonly run: string;
  /** Longest wait for one node to have applied a command. */
  readonly followMs: number;
}

export interface CommandPathParts {
  readonly proposer: Pick<Proposer, "propose">;
  readonly consensus: Pick<Consensus, "waitApplied">;
  readonly peers: Peers;
  /** All nodes of the cluster. */
  readonly nodes: () => readonly number[];
}

export const CATALOGUE = { shard: 0, group: 0 };

export class CommandPath {
  readonly #options: CommandPathOptions;
  readonly #parts: CommandPathParts;
  #commands = 0;

  constructor(options: CommandPathOptions, parts: CommandPathParts) {
    this.#options = options;
    this.#parts = parts;
  }

  /**
   * Resolves when the command is carried out and this node's copy of the catalogue shows it. Throws ApiError; a
   * command that was refused changed nothing.
   */
  async carryOut(
    command: CatalogueCommand,
    options: CallOptions,
  ): Promise<Exclude<CatalogueOutcome, Rejected>> {
    const outcome = await this.outcomeOf(command, options);
    if (outcome.kind === "rejected") throw rejection(outcome);
    return outcome;
  }

  /** As {@link carryOut}, with a refusal by the catalogue as an outcome. */
  async outcomeOf(
    command: CatalogueCommand,
    { signal, caller = null }: CallOptions,
  ): Promise<CatalogueOutcome> {
    const sequence = ++this.#commands;
    const data = encodeEntry({ origin: this.#options.run, sequence, command });
    const { index, result } = await this.#parts.proposer.propose(CATALOGUE, data, {
      wait: "applied",
      signal,
      caller,
      adds: command.kind === "createCollection",
    });
    await this.#follow(index, signal);
    return result as CatalogueOutcome;
  }

  /** As {@link carryOut}, of a command that answers with the collection. */
  async onCollection(command: CatalogueCommand, options: CallOptions): Promise<CatalogueCollection> {
    const outcome = await this.carryOut(command, options);
    if ("collection" in outcome) return outcome.collection;
    throw new TypeError(`${command.kind} was applied with the result ${outcome.kind}`);
  }

  /**
   * Gives the other nodes a moment to follow, so that a client that goes on at another one finds what it made there.
   * One that does not answer in time is not waited for.
   */
  async everywhere(signal: AbortSignal): Promise<void> {
    const { nodes, peers } = this.#parts;
    const { nodeId, followMs: timeoutMs } = this.#options;
    const others = nodes().filter((node) => node !== nodeId && peers.stateOf(node) === "open");
    await Promise.all(
      others.map((node) =>
        peers
          .call(node, "readIndex", { group: CATALOGUE.group, timeoutMs }, { timeoutMs, signal })
          .catch((error: unknown) => {
            if (!(error instanceof NodeCallError) && !(error instanceof ApiError)) throw error;
            return null;
          }),
      ),
    );
  }

  async #follow(index: number, signal: AbortSignal): Promise<void> {
    const { followMs: timeoutMs } = this.#options;
    try {
      await this.#parts.consensus.waitApplied(CATALOGUE.group, index, { timeoutMs, signal });
    } catch (error) {
      throw asApiError(error);
    }
  }
}

function rejection({ code, message }: Rejected): ApiError {
  switch (code) {
    case "COLLECTION_EXISTS":
      return new ApiError(code, `Wrong input: ${message}`);
    case "COLLECTION_NOT_FOUND":
      return new ApiError(code, message);
    case "ALIAS_NOT_FOUND":
      return new ApiError("COLLECTION_NOT_FOUND", message);
    case "LIMIT_EXCEEDED":
    case "NODE_NOT_FOUND":
    case "SHARD_NOT_FOUND":
    case "REPLICA_NOT_FOUND":
      return new ApiError("INVALID", `Wrong input: ${message}`);
    case "NODE_ID_EXISTS":
    case "NODE_IN_USE":
    case "LAST_NODE":
    case "REPLICA_EXISTS":
    case "LAST_REPLICA":
    case "PLACEMENT_CHANGED":
    case "NAME_TAKEN":
      return new ApiError("CONFLICT", `Conflict: ${message}`);
    case "BAD_ENTRY":
      return new ApiError("INTERNAL", message);
  }
}
