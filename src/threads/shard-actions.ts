import { readdir } from "node:fs/promises";
import type { ShardActions } from "../catalog/controller.ts";
import type { Roles } from "../cluster/roles.ts";
import type { DataDirectory } from "../config/data-directory.ts";
import { ESSENTIAL } from "./rpc.ts";
import type { Threads } from "./start.ts";

/** What the controller does to shards, carried out by their engine thread and the consensus thread. */
export function shardActions(
  options: { readonly openMs: number },
  parts: { readonly threads: Threads; readonly roles: Roles; readonly data: DataDirectory },
): ShardActions {
  const { threads, roles, data } = parts;
  return {
    async open({ group, collection, shard, vectors, founders }) {
      const engine = threads.engineOf(group);
      await engine.call("open", { group, directory: data.shardPath(group), vectors }, ESSENTIAL);
      const { conf, node } = await threads.consensus.call(
        "openGroup",
        { group, engine: threads.engineIndexOf(group), founders },
        ESSENTIAL,
      );
      if (conf.voters.length !== 1 || conf.voters[0] !== node || conf.votersOutgoing.length > 0) return;
      const late = new Error(
        `shard ${shard} of collection ${collection} had no leader within ${options.openMs} ms (catalogue.open_ms)`,
      );
      await roles.leading(group, timeout(options.openMs, late));
      const { stopped } = roles.of(group);
      if (stopped !== null) throw new Error(stopped.why);
    },
    async close(group) {
      // The log first: from here on nothing is proposed, applied or acknowledged.
      await threads.consensus.call("closeGroup", { group }, ESSENTIAL);
      roles.forget(group);
      await threads.engineOf(group).call("closeShard", { group }, ESSENTIAL);
    },
    async destroy(group) {
      await threads.consensus.call("destroyGroup", { group }, ESSENTIAL);
      await threads
        .engineOf(group)
        .call("destroyShard", { group, directory: data.shardPath(group) }, ESSENTIAL);
    },
    async present() {
      const logs = await threads.consensus.call("groups", null);
      const directories = (await readdir(data.shardsPath)).filter((name) => /^\d+$/.test(name)).map(Number);
      return [...new Set([...logs, ...directories])].sort((a, b) => a - b);
    },
  };
}

/** As `AbortSignal.timeout`, with an error that says what was late. */
function timeout(ms: number, late: Error): AbortSignal {
  const controller = new AbortController();
  setTimeout(() => controller.abort(late), ms).unref();
  return controller.signal;
}
