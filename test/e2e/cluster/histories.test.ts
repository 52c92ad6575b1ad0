/** Everything at once: concurrent clients, a machine that kills, stops and cuts off nodes, and a checker at the end. */
import { describe, expect, test } from "vitest";
import { checkKeys } from "../../linearizability/register.ts";
import { ClusterProcess, idsOnEach, LONG, SEED, Writer, type Member } from "./cluster-process.ts";
import { diceOf, oneOf, type Dice } from "./support/dice.ts";
import { History } from "./support/history.ts";
import { senderProblem } from "./support/sender.ts";

const FAULTS = LONG ? 24 : 2;
const KEYS = 8;
const CLIENTS = 6;
/** Writes between two faults, and while one lasts: progress is awaited, not time. */
const WRITES = 15;

/** One thing that happens to one node; resolves when it is over and the node is whole again. */
type Fault = (cluster: ClusterProcess, victim: Member, writes: () => Promise<void>) => Promise<void>;

const FAULT_KINDS: Readonly<Record<string, Fault>> = {
  kill: async (cluster, victim, writes) => {
    await cluster.kill(victim);
    await writes();
    await cluster.start(victim);
  },
  stop: async (cluster, victim, writes) => {
    expect(await cluster.stop(victim)).toBe(0);
    await writes();
    await cluster.start(victim);
  },
  pause: async (_, victim, writes) => {
    victim.pause();
    await writes();
    victim.resume();
  },
};
const NETWORK_FAULTS: Readonly<Record<string, Fault>> = {
  isolate: async (cluster, victim, writes) => {
    cluster.network.isolate(victim.number, others(cluster, victim));
    await whileAside(victim, writes);
    cluster.network.heal();
  },
  "cannot send": async (cluster, victim, writes) => {
    for (const other of others(cluster, victim)) cluster.network.set(victim.number, other, { cut: true });
    await whileAside(victim, writes);
    cluster.network.heal();
  },
  "cannot hear": async (cluster, victim, writes) => {
    for (const other of others(cluster, victim)) cluster.network.set(other, victim.number, { cut: true });
    await whileAside(victim, writes);
    cluster.network.heal();
  },
  slow: async (cluster, victim, writes) => {
    for (const other of others(cluster, victim))
      cluster.network.set(victim.number, other, { delayMs: 60, bytesPerSecond: 200_000 });
    await writes();
    cluster.network.heal();
  },
  reset: async (cluster, victim, writes) => {
    for (const other of others(cluster, victim)) cluster.network.reset(victim.number, other);
    await writes();
  },
};

async function whileAside(victim: Member, writes: () => Promise<void>): Promise<void> {
  victim.aside = true;
  await writes();
  victim.aside = false;
}

function others(cluster: ClusterProcess, victim: Member): readonly number[] {
  return cluster.running.filter(({ number }) => number !== victim.number).map(({ number }) => number);
}

/** Half of the time whoever leads shard 0: that hurts most. */
async function victimOf(cluster: ClusterProcess, dice: Dice): Promise<Member> {
  if (dice(2) === 0) {
    const [shard] = await cluster.shards("c");
    if (typeof shard?.leader === "number") return cluster.member(shard.leader);
  }
  return oneOf(dice, cluster.running);
}

describe.each([
  { name: "processes", kinds: FAULT_KINDS, faultyNetwork: false },
  { name: "the network", kinds: NETWORK_FAULTS, faultyNetwork: true },
])("faults of $name", ({ kinds, faultyNetwork }) => {
  test.skipIf(faultyNetwork && senderProblem() !== null).each(LONG ? [1, 4] : [faultyNetwork ? 1 : 4])(
    `${FAULTS} of them leave a linearizable history and equal replicas (%i shards, seed ${SEED})`,
    { timeout: 60_000 + FAULTS * 25_000 },
    async (shards) => {
      const dice = diceOf(SEED + shards);
      await using cluster = await ClusterProcess.of(3, [], { faultyNetwork });
      await cluster.client.create("c", { size: 4, shards, replicas: 3 });
      await cluster.untilVoters("c", 3);
      const history = new History({
        ...{ collection: "c", keys: KEYS, clients: CLIENTS, dice: diceOf(SEED * 31) },
        urls: () => cluster.running.map(({ process }) => process.url),
      }).start();
      const writer = new Writer(cluster, "c", 1_000).start();
      const happened: string[] = [];
      for (let fault = 0; fault < FAULTS; fault++) {
        await writer.more(WRITES);
        const victim = await victimOf(cluster, dice);
        const kind = oneOf(dice, Object.keys(kinds));
        const began = performance.now();
        await kinds[kind]?.(cluster, victim, () => writer.more(WRITES));
        // One fault at a time: the next one must find a majority.
        await cluster.untilVoters("c", 3);
        happened.push(`${kind} ${victim.number} (${Math.round(performance.now() - began)} ms)`);
      }
      if (LONG) console.log(`seed ${SEED}, ${shards} shards: ${happened.join(", ")}`);
      const acknowledged = await writer.stop();
      await history.stop();
      await cluster.untilEqual("c");

      expect(history.complaints, happened.join(", ")).toEqual([]);
      const verdicts = checkKeys(history.operations);
      expect(
        verdicts.filter(({ verdict }) => verdict.kind !== "linearizable"),
        happened.join(", "),
      ).toEqual([]);
      expect(history.counts.done).toBeGreaterThan(FAULTS * 10);
      expect(history.counts.sessionReads).toBeGreaterThan(0);
      for (const [node, ids] of await idsOnEach(cluster, "c")) {
        const lost = [...acknowledged].filter((id) => !ids.has(id));
        expect(lost, `acknowledged and not on node ${node}, after ${happened.join(", ")}`).toEqual([]);
      }
    },
  );
});
