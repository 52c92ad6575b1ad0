/** `flotilla recover`: makes one node's data the truth after a majority is lost for good. Offline, and never by itself. */
import type { Command } from "commander";
import { recoverDirectory, type RecoveryReport } from "../recovery.ts";
import { table } from "./connection.ts";

export function registerRecover(program: Command): void {
  program
    .command("recover")
    .description("after a majority was lost for good: go on from this node's data alone (node stopped)")
    .requiredOption("--data-dir <dir>", "the data directory of the surviving node")
    .option("--yes", "do it; without, only show what would be done", false)
    .option("--json", "one JSON object", false)
    .action(async (options: { readonly dataDir: string; readonly yes: boolean; readonly json: boolean }) => {
      const report = await recoverDirectory(options.dataDir, { dryRun: !options.yes });
      process.stdout.write(options.json ? `${JSON.stringify(report, null, 2)}\n` : show(report));
    });
}

function show({ nodeId, dryRun, groups, missing }: RecoveryReport): string {
  const rows = groups.map(({ group, kind, voters, learners, last, uncertain }) => [
    group === 0 ? "0 (catalogue)" : String(group),
    voters.join(",") + (learners.length === 0 ? "" : ` +${learners.join(",")}`),
    kind === "recovered" ? String(nodeId) : kind === "alone" ? "as it is" : "none: not a member",
    last,
    uncertain,
  ]);
  const lines = [
    table(["group", "members", "from now on", "last entry", "uncertain"], rows),
    "",
    ...(missing.length === 0
      ? []
      : [`Not recovered, since node ${nodeId} has no replica: ${named(missing)}.`]),
    "Uncertain entries were never known to be committed; they count as committed from now on.",
    dryRun
      ? "Nothing was changed: --yes does it."
      : `Done. Start node ${nodeId}; remove the others (flotilla nodes remove) and never start them on their old data again.`,
  ];
  return `${lines.join("\n")}\n`;
}

/** `shard 1, 2 of docs; shard 0 of words` */
function named(missing: RecoveryReport["missing"]): string {
  const shards = new Map<string, number[]>();
  for (const { collection, shard } of missing)
    shards.set(collection, [...(shards.get(collection) ?? []), shard]);
  return [...shards]
    .map(([collection, numbers]) => `shard ${numbers.join(", ")} of ${collection}`)
    .join("; ");
}
