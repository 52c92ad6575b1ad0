/** The composition root of the way back from a lost quorum: a data directory, its log, and nothing that runs. */
import { NodeId } from "../shards/index.ts";
import { openSqliteLog, recoverGroups, type Recovery } from "../shards/adapters.ts";
import { Catalogue } from "./catalog/catalogue.ts";
import { DataDirectory } from "./config/data-directory.ts";
import { ConfigError } from "./config/load.ts";

export interface RecoveryReport {
  readonly nodeId: number;
  readonly dryRun: boolean;
  readonly groups: readonly Recovery[];
  /** Shards that this node's catalogue knows and of which it holds no replica: they are not recovered. */
  readonly missing: readonly { readonly collection: string; readonly shard: number }[];
}

/** Throws {@link ConfigError} when the directory is in use or never had a place in a cluster. */
export async function recoverDirectory(
  path: string,
  options: { readonly dryRun: boolean },
): Promise<RecoveryReport> {
  const nothing = `${path} never had a place in a cluster: there is nothing to recover`;
  // Opening would make what is missing, also of a path with a slip of the pen in it.
  if (!DataDirectory.exists(path)) throw new ConfigError(nothing);
  using data = DataDirectory.open(path, null);
  const { identity } = data;
  if (identity === null) throw new ConfigError(nothing);
  await using log = await openSqliteLog({ path: data.raftFile });
  // Before anything is done: a catalogue that cannot be read stops the node's start, too.
  const catalogue = Catalogue.open(data.catalogueFile);
  const groups = await recoverGroups(log, NodeId(identity.nodeId), options);
  const here = new Set<number>(groups.map(({ group }) => group));
  const missing = catalogue
    .collections()
    .flatMap(({ name, shards }) =>
      shards.filter(({ group }) => !here.has(group)).map(({ shard }) => ({ collection: name, shard })),
    );
  return { nodeId: identity.nodeId, dryRun: options.dryRun, groups, missing };
}
