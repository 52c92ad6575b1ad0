/** Writes to three nodes: single points beside etcd's puts of the same size, and batches beside a single node's. */
import type { Figure } from "./figures/context.ts";
import { EtcdStore, etcdVersion } from "./figures-cluster/etcd-store.ts";
import { FlotillaStore } from "./figures-cluster/flotilla-store.ts";
import { closedLoop, type Load } from "./figures-cluster/load.ts";
import { concludes } from "./figures-cluster/report.ts";
import { valueOf, type ReplicatedStore } from "./figures-cluster/store.ts";

const SECONDS = { usual: 10, quick: 1.5 };
/** Until nothing is faster for being done again: the code of a JavaScript program is compiled while it runs. */
const WARM_SECONDS = { usual: 15, quick: 0.5 };
/** Of the warm-up, for a load after the first, and for batches: each of these is a hundred points. */
const WARM_AGAIN_SHARE = 0.15;
/** One after the other on one store. The last is what is left of the one before: what was put off has to be done sometime. */
const SINGLES = [
  { figure: "2a", what: "1 client", clients: 1, warmShare: 1 },
  { figure: "2b", what: "64 clients", clients: 64, warmShare: WARM_AGAIN_SHARE },
  { figure: "2c", what: "64 clients that go on", clients: 64, warmShare: 1 },
] as const;
const BATCH = 100;
const BATCH_CLIENTS = 4;

/** `--quick`, `--out DIR`. */
export async function main(args: readonly string[]): Promise<void> {
  const [seconds, warm] = args.includes("--quick")
    ? [SECONDS.quick, WARM_SECONDS.quick]
    : [SECONDS.usual, WARM_SECONDS.usual];
  await concludes("cluster-writes", args, async (say) => {
    const version = etcdVersion();
    if (version === null) say("no `etcd` is installed: nothing to compare with (Debian: etcd-server)");
    const theirs =
      version === null ? null : await singles(() => EtcdStore.open({ connections: 64 }), seconds, warm);
    const ours = await singles(() => FlotillaStore.open({ connections: 64 }), seconds, warm);
    const figures = SINGLES.map((single, at) => besideEtcd(single, ours[at], theirs?.[at], version));
    const one = await batches({ nodes: 1, shards: 1 }, seconds, warm);
    for (const shards of [1, 4]) {
      const three = await batches({ shards }, seconds, warm);
      figures.push({
        figure: shards === 1 ? "3a" : "3b",
        what: `batches of ${BATCH} to three nodes, ${shards} ${shards === 1 ? "shard" : "shards"}, of one node's rate`,
        found: three.perSecond / one.perSecond,
        limit: 0,
        rule: "atLeast",
        unit: "",
        detail: {
          pointsPerSecond: three.perSecond * BATCH,
          oneNode: one.perSecond * BATCH,
          p50: three.latencyMs.p50,
          p99: three.latencyMs.p99,
          failures: three.failures,
        },
      });
    }
    return figures;
  });
}

/** Through the leader, as a client that knows who leads; per entry of {@link SINGLES}. Every key is new. */
async function singles(
  open: () => Promise<ReplicatedStore>,
  seconds: number,
  warm: number,
): Promise<readonly Load[]> {
  await using store = await open();
  const leader = await store.leader();
  let key = 0;
  const put = (): Promise<boolean> => store.put(leader, key++);
  const loads: Load[] = [];
  for (const { clients, warmShare } of SINGLES) {
    await closedLoop(clients, warmShare * warm, put);
    loads.push(await closedLoop(clients, seconds, put));
  }
  return loads;
}

function besideEtcd(
  single: (typeof SINGLES)[number],
  ours: Load | undefined,
  theirs: Load | undefined,
  version: string | null,
): Figure {
  const rate = ours?.perSecond ?? 0;
  const own = {
    perSecond: rate,
    p50: ours?.latencyMs.p50 ?? 0,
    p99: ours?.latencyMs.p99 ?? 0,
    failures: ours?.failures ?? 0,
  };
  const { figure } = single;
  const what = `single-point upserts, ${single.what}`;
  if (theirs === undefined)
    return {
      ...{ figure, what, found: rate, limit: 0, rule: "atLeast", unit: "/s" },
      detail: { ...own, etcd: "not installed" },
    };
  const { perSecond, latencyMs } = theirs;
  return {
    ...{
      figure,
      what: `${what}, of etcd's rate`,
      found: rate / perSecond,
      limit: 1,
      rule: "atLeast",
      unit: "",
    },
    detail: {
      ...own,
      etcdVersion: version ?? "",
      etcdPerSecond: perSecond,
      etcdP50: latencyMs.p50,
      etcdP99: latencyMs.p99,
    },
  };
}

async function batches(
  shape: { readonly nodes?: number; readonly shards: number },
  seconds: number,
  warm: number,
): Promise<Load> {
  await using store = await FlotillaStore.open({ ...shape, connections: BATCH_CLIENTS });
  const leader = await store.leader();
  let next = 0;
  const send = async (): Promise<boolean> => {
    const points = Array.from({ length: BATCH }, () => {
      const id = next++;
      return `{"id":${id},"vector":[${valueOf(id)}]}`;
    });
    return await store.write(leader, `{"points":[${points.join(",")}]}`);
  };
  await closedLoop(BATCH_CLIENTS, WARM_AGAIN_SHARE * warm, send);
  return await closedLoop(BATCH_CLIENTS, seconds, send);
}
