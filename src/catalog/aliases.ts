import type { AliasAction } from "../cluster/types.ts";
import { rejected, type Rejected } from "./types.ts";

/** All actions in order, or none: a name is an alias or a collection, never both. */
export function changeAliases(
  before: ReadonlyMap<string, string>,
  actions: readonly AliasAction[],
  isCollection: (name: string) => boolean,
): { readonly kind: "changed"; readonly aliases: ReadonlyMap<string, string> } | Rejected {
  const aliases = new Map(before);
  for (const action of actions) {
    switch (action.kind) {
      case "create": {
        const { alias, collection } = action;
        if (!isCollection(collection))
          return rejected("COLLECTION_NOT_FOUND", `Not found: Collection \`${collection}\` doesn't exist!`);
        if (isCollection(alias)) return rejected("NAME_TAKEN", `\`${alias}\` is a collection already`);
        aliases.set(alias, collection);
        break;
      }
      case "delete":
        if (!aliases.delete(action.alias)) return noAlias(action.alias);
        break;
      case "rename": {
        const target = aliases.get(action.from);
        if (target === undefined) return noAlias(action.from);
        if (isCollection(action.to) || (aliases.has(action.to) && action.to !== action.from))
          return rejected("NAME_TAKEN", `\`${action.to}\` is taken already`);
        aliases.delete(action.from);
        aliases.set(action.to, target);
        break;
      }
    }
  }
  return { kind: "changed", aliases };
}

function noAlias(alias: string): Rejected {
  return rejected("ALIAS_NOT_FOUND", `Not found: Alias \`${alias}\` doesn't exist!`);
}
