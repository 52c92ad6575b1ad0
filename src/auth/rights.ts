/** What a principal may do: the meaning of keys and of a token's `access` claim, as one pure function. */

/**
 * probe: liveness, for anybody. list: what is there, as far as one may read it. read: data and state. write: points.
 * configure: the settings of an existing collection. manage: collections, nodes, voters.
 */
export const ACTIONS = ["probe", "list", "read", "write", "configure", "manage"] as const;
export type Action = (typeof ACTIONS)[number];

/** r: read. prw: read, and write points. rw: also the collection's settings. */
export type CollectionAccess = "r" | "rw" | "prw";

export interface CollectionRight {
  /** A name, or the beginning of names when it ends in `*`. */
  readonly collection: string;
  readonly access: CollectionAccess;
}

export type Rights =
  | { readonly kind: "none" }
  | { readonly kind: "read" }
  | { readonly kind: "manage" }
  | { readonly kind: "collections"; readonly list: readonly CollectionRight[] };

export const NO_RIGHTS: Rights = { kind: "none" };

const OF_ACCESS: Readonly<Record<CollectionAccess, readonly Action[]>> = {
  r: ["list", "read"],
  prw: ["list", "read", "write"],
  rw: ["list", "read", "write", "configure"],
};

/** Whether `action` on `collection` is allowed; null: on what belongs to no collection. */
export function allows(rights: Rights, action: Action, collection: string | null): boolean {
  if (action === "probe") return true;
  switch (rights.kind) {
    case "none":
      return false;
    case "read":
      return action === "read" || action === "list";
    case "manage":
      return true;
    case "collections":
      // Never more than its collections: `manage` is in no list, whatever the name.
      if (collection === null) return action === "list";
      return rights.list.some(
        (right) => matches(right.collection, collection) && OF_ACCESS[right.access].includes(action),
      );
  }
}

function matches(pattern: string, name: string): boolean {
  return pattern.endsWith("*") ? name.startsWith(pattern.slice(0, -1)) : name === pattern;
}

/** A token with more is refused: each is compared on every request. */
const RIGHTS_MAX = 256;

/** Whether it is what {@link readAccess} could have made: rights that came from elsewhere are never taken on trust. */
export function isRights(value: unknown): value is Rights {
  if (typeof value !== "object" || value === null || !("kind" in value)) return false;
  const { kind } = value;
  if (kind === "none" || kind === "read" || kind === "manage") return true;
  if (kind !== "collections" || !("list" in value)) return false;
  const read = readAccess(value.list);
  return read.kind === "rights";
}

type Read =
  { readonly kind: "rights"; readonly rights: Rights } | { readonly kind: "refused"; readonly why: string };

/**
 * The `access` claim. Missing, null or empty means no rights. What is not understood refuses the whole token: a
 * restriction that is overlooked would give more than was meant.
 */
export function readAccess(claim: unknown): Read {
  if (claim === undefined || claim === null || claim === "") return { kind: "rights", rights: NO_RIGHTS };
  if (claim === "r") return { kind: "rights", rights: { kind: "read" } };
  if (claim === "m") return { kind: "rights", rights: { kind: "manage" } };
  if (!Array.isArray(claim)) return refused('`access` must be "r", "m" or a list of collections');
  if (claim.length === 0) return { kind: "rights", rights: NO_RIGHTS };
  if (claim.length > RIGHTS_MAX) return refused(`\`access\` lists more than ${RIGHTS_MAX} collections`);
  const list: CollectionRight[] = [];
  for (const entry of claim as readonly unknown[]) {
    if (typeof entry !== "object" || entry === null || Array.isArray(entry))
      return refused("`access` must list objects with `collection` and `access`");
    const { collection, access, ...rest } = entry as Readonly<Record<string, unknown>>;
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined)
      return refused(`\`access\` holds \`${unknown.slice(0, 60)}\`, which is not supported`);
    if (typeof collection !== "string" || collection === "")
      return refused("`access` names no `collection` in one of its entries");
    if (collection.slice(0, -1).includes("*"))
      return refused("`access` holds a name with `*` before its end: only the last character may be one");
    if (access !== "r" && access !== "rw" && access !== "prw")
      return refused('`access` of a collection must be "r", "rw" or "prw"');
    list.push({ collection, access });
  }
  return { kind: "rights", rights: { kind: "collections", list } };
}

const refused = (why: string): Read => ({ kind: "refused", why });
