import { expect, test } from "vitest";
import { NodeId } from "../../shards/index.ts";
import { INFLIGHT_BYTES_MAX } from "../../shards/limits.ts";
import { PEER_TRANSPORT_DEFAULTS } from "../../shards/transport/peer-transport.ts";
import { TestCluster } from "./support/cluster.ts";

const MIB = 1 << 20;

test("a follower that does not answer is sent no more than may be on its way, and the rest when it does", async () => {
  const cluster = await TestCluster.of(3);
  const leader = await cluster.electLeader();
  const [silent] = [1, 2, 3].filter((id) => id !== leader) as [number];
  await cluster.tick(3);
  cluster.network.cutOneWay(NodeId(silent), NodeId(leader));
  const before = cluster.network.sends.length;
  for (let at = 0; at < 30; at++) {
    const outcome = cluster.group(leader).propose(new Uint8Array(MIB).fill(65));
    await cluster.settle();
    expect(await outcome).toMatchObject({ kind: "applied" });
  }
  const sent = cluster.network.sends
    .slice(before)
    .filter(({ to }) => to === silent)
    .flatMap(({ messages }) => messages.map(({ message }) => message))
    .flatMap((message) => (message.kind === "append" ? message.entries : []));
  const bytes = sent.reduce((sum, { data }) => sum + data.length, 0);
  expect(bytes).toBeGreaterThanOrEqual(INFLIGHT_BYTES_MAX);
  expect(bytes).toBeLessThanOrEqual(INFLIGHT_BYTES_MAX + MIB);
  // Several groups at once have room in what waits for one peer, and their heartbeats too.
  expect(INFLIGHT_BYTES_MAX * 2).toBeLessThanOrEqual(PEER_TRANSPORT_DEFAULTS.queueBytesMax);
  cluster.network.heal();
  await cluster.tick(20);
  expect(cluster.status(silent).applied).toBe(cluster.status(leader).applied);
});
