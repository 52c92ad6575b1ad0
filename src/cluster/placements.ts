import type { Catalogue } from "../catalog/catalogue.ts";
import type { CatalogueCollection, CatalogueNode, Placement } from "../catalog/types.ts";
import { CATALOGUE } from "./command-path.ts";

/** What routing reads of the catalogue: this node's own copy. */
export type CatalogueView = Pick<
  Catalogue,
  "collections" | "collection" | "resolve" | "nodes" | "node" | "aliases" | "onChange"
>;

/** Placements by group, made anew when the catalogue changes. */
export class Placements {
  readonly #catalogue: CatalogueView;
  #byGroup: ReadonlyMap<number, Placement> | null = null;

  constructor(catalogue: CatalogueView) {
    this.#catalogue = catalogue;
    catalogue.onChange(() => (this.#byGroup = null));
  }

  /** Nodes that hold a replica, or are to; the catalogue itself is on all of them. */
  readonly replicasOf = (group: number): readonly number[] => {
    if (group === CATALOGUE.group) return this.nodeIds();
    this.#byGroup ??= byGroup(this.#catalogue.collections());
    return this.#byGroup.get(group)?.replicas.map(({ node }) => node) ?? [];
  };

  nodeIds(): readonly number[] {
    return this.#catalogue.nodes().map(({ nodeId }: CatalogueNode) => nodeId);
  }
}

function byGroup(collections: readonly CatalogueCollection[]): ReadonlyMap<number, Placement> {
  const placements = collections.flatMap(({ placement }) => placement);
  return new Map(placements.map((placement) => [placement.group, placement]));
}
