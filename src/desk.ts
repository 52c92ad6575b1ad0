import type { Catalogue } from "./catalog/catalogue.ts";
import type { CatalogueCommand } from "./catalog/commands.ts";
import type { CatalogueOutcome } from "./catalog/types.ts";
import { JOIN, type JoinRequest } from "./cluster/join.ts";
import { answerJoin, type Registered } from "./cluster/join-desk.ts";
import type { Roles } from "./cluster/roles.ts";
import type { DataDirectory } from "./config/data-directory.ts";

/** The catalogue's own group. */
const CATALOGUE = 0;

export type RunCommand = (command: CatalogueCommand) => Promise<CatalogueOutcome>;

/** Answers what other nodes ask over the peer port, from before this node has a place itself. */
export class Desk {
  readonly #parts: { readonly data: DataDirectory; readonly catalogue: Catalogue; readonly roles: Roles };
  #command: RunCommand | null = null;

  constructor(parts: { readonly data: DataDirectory; readonly catalogue: Catalogue; readonly roles: Roles }) {
    this.#parts = parts;
  }

  /** From now on nodes can be let in. */
  open(command: RunCommand): void {
    this.#command = command;
  }

  async answer(name: string, body: Uint8Array): Promise<Uint8Array> {
    if (name !== JOIN) throw new TypeError(`nothing is known of ${JSON.stringify(name)} here`);
    const { data, catalogue, roles } = this.#parts;
    return await answerJoin(body, {
      identity: () => data.identity,
      incarnation: data.incarnation,
      leader: () => (roles.leads(CATALOGUE) ? (data.identity?.nodeId ?? null) : roles.of(CATALOGUE).leader),
      nodes: () => catalogue.nodes(),
      register: (request) => this.#register(request),
    });
  }

  async #register(request: JoinRequest): Promise<Registered> {
    if (this.#command === null) return { kind: "failed", message: "the node is starting" };
    try {
      const outcome = await this.#command({ kind: "registerNode", ...request });
      if (outcome.kind === "node") return { kind: "registered", node: outcome.node };
      if (outcome.kind === "rejected") return { kind: "rejected", message: outcome.message };
      return { kind: "failed", message: `the catalogue answered ${outcome.kind}` };
    } catch (error) {
      return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
    }
  }
}
