/** The composition root of the way back from a lost quorum: a data directory, its log, and nothing that runs. */
import { existsSync, statSync } from "node:fs";
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

/**
 * Throws {@link ConfigError} when the directory is in use, is no node's, never had a place in a cluster, or has lost its
 * log. Makes nothing that is missing: a new log would pass for the one with what this node promised.
 */
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
  if (!existsSync(data.raftFile) || statSync(data.raftFile).size === 0)
    throw lost(data.raftFile, "missing or empty");
  await using log = await openSqliteLog({ path: data.raftFile });
  // Before anything is done: a catalogue that cannot be read stops the node's start, too.
  const catalogue = Catalogue.open(data.catalogueFile);
  const groups = await recoverGroups(log, NodeId(identity.nodeId), options);
  if (groups.length === 0) throw lost(data.raftFile, "without any group");
  const here = new Set<number>(groups.map(({ group }) => group));
  const missing = catalogue
    .collections()
    .flatMap(({ name, shards }) =>
      shards.filter(({ group }) => !here.has(group)).map(({ shard }) => ({ collection: name, shard })),
    );
  return { nodeId: identity.nodeId, dryRun: options.dryRun, groups, missing };
}

const lost = (file: string, how: string): ConfigError =>
  new ConfigError(
    `${file} is ${how}: there is nothing to recover from; restore it from a backup, or take another node's directory`,
  );
