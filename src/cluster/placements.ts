import type { Catalogue } from "../catalog/catalogue.ts";
import type { CatalogueCollection, CatalogueNode, Placement } from "../catalog/types.ts";
import { CATALOGUE } from "./command-path.ts";

/** What routing reads of the catalogue: this node's own copy. */
export type CatalogueView = Pick<
  Catalogue,
  "collections" | "collection" | "resolve" | "nodes" | "node" | "aliases" | "onChange"
>;

interface Placed {
  readonly placement: Placement;
  readonly collection: CatalogueCollection;
}

/** Placements by group, made anew when the catalogue changes. */
export class Placements {
  readonly #catalogue: CatalogueView;
  #byGroup: ReadonlyMap<number, Placed> | null = null;

  constructor(catalogue: CatalogueView) {
    this.#catalogue = catalogue;
    catalogue.onChange(() => (this.#byGroup = null));
  }

  /** Nodes that hold a replica, or are to; the catalogue itself is on all of them. */
  readonly replicasOf = (group: number): readonly number[] => {
    if (group === CATALOGUE.group) return this.nodeIds();
    return this.#placed(group)?.placement.replicas.map(({ node }) => node) ?? [];
  };

  /** Whose shard it is; null: the catalogue's own group, or none that this node knows of. */
  collectionOf(group: number): CatalogueCollection | null {
    return this.#placed(group)?.collection ?? null;
  }

  nodeIds(): readonly number[] {
    return this.#catalogue.nodes().map(({ nodeId }: CatalogueNode) => nodeId);
  }

  #placed(group: number): Placed | undefined {
    this.#byGroup ??= byGroup(this.#catalogue.collections());
    return this.#byGroup.get(group);
  }
}

function byGroup(collections: readonly CatalogueCollection[]): ReadonlyMap<number, Placed> {
  return new Map(
    collections.flatMap((collection) =>
      collection.placement.map((placement): [number, Placed] => [placement.group, { placement, collection }]),
    ),
  );
}
