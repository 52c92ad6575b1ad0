import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { plan } from "../../src/catalog/planner.ts";
import { ModelCluster } from "./planner-model.ts";

const voters = (cluster: ModelCluster, name: string, shard = 0): readonly number[] => {
  const group = cluster.catalogue.collection(name)?.placement[shard]?.group ?? -1;
  return [...(cluster.groups.get(group)?.voters ?? [])].sort((a, b) => a - b);
};

describe("growing", () => {
  test("a shard of one node gets its three voters as nodes join, one step at a time", () => {
    const cluster = new ModelCluster(1);
    cluster.found("a", 3, [1]);
    expect(cluster.settle()).toEqual([]);
    cluster.join();
    const steps = cluster.settle().filter((decision) => decision.kind !== "transfer");
    expect(steps.map(({ kind }) => kind)).toEqual(expect.arrayContaining(["place", "member"]));
    expect(voters(cluster, "a")).toEqual([1, 2]);
    cluster.join();
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
    expect(cluster.groups.get(0)?.voters.sort()).toEqual([1, 2, 3]);
  });

  test("the catalogue has five voters; every further node learns", () => {
    const cluster = new ModelCluster(7);
    cluster.settle();
    const { voters: five, learners } = cluster.groups.get(0) ?? { voters: [], learners: [] };
    expect([five.length, learners.length]).toEqual([5, 2]);
  });

  test("a learner that never catches up never votes", () => {
    const cluster = new ModelCluster(2);
    cluster.found("a", 2, [1]);
    for (let round = 0; round < 20; round++) {
      cluster.follow();
      for (const decision of plan(cluster.view())) cluster.carryOut(decision);
    }
    expect(voters(cluster, "a")).toEqual([1]);
  });

  test("nothing is decided for a group that nobody leads", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.kill(1);
    cluster.kill(2);
    expect(plan(cluster.view()).filter((decision) => "group" in decision && decision.group !== 0)).toEqual(
      [],
    );
  });
});

describe("shrinking", () => {
  test("a smaller factor takes replicas away, never the leader's", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.command({
      kind: "updateCollection",
      name: "a",
      metadataBytesMax: 1,
      patch: { replicationFactor: 1 },
    });
    cluster.settle();
    expect(voters(cluster, "a")).toHaveLength(1);
    expect(cluster.catalogue.collection("a")?.placement[0]?.replicas).toHaveLength(1);
  });

  test("a smaller factor takes away first what is not there", () => {
    const cluster = new ModelCluster(5);
    cluster.found("a", 5, [1, 2, 3, 4, 5]);
    cluster.settle();
    cluster.kill(2);
    const patch = { replicationFactor: 3 };
    cluster.command({ kind: "updateCollection", name: "a", metadataBytesMax: 1, patch });
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 3, 4]);
  });

  test("a leaving node is drained of replicas and leaderships, then removed", () => {
    const cluster = new ModelCluster(4);
    cluster.found("a", 3, [1, 2, 3], 2);
    cluster.settle();
    cluster.command({ kind: "leaveNode", nodeId: 1 });
    const kinds = cluster.settle().map(({ kind }) => kind);
    expect(kinds.at(-1)).toBe("removeNode");
    expect(cluster.catalogue.node(1)).toBeNull();
    expect(voters(cluster, "a")).toEqual([2, 3, 4]);
    expect(cluster.groups.get(0)?.voters.includes(1)).toBe(false);
  });

  test("a leaving node is let go of only when it holds no replica and follows no catalogue", () => {
    const cluster = new ModelCluster(2);
    cluster.found("a", 1, [1]);
    cluster.settle();
    cluster.command({ kind: "leaveNode", nodeId: 2 });
    const removals = (view = cluster.view()) => plan(view).filter(({ kind }) => kind === "removeNode");
    // Nothing else can be decided now: nobody leads.
    const idle = (members: readonly number[], held: readonly number[]) => {
      const view = cluster.view();
      const groups = new Map(view.groups);
      for (const [group, known] of groups)
        groups.set(
          group,
          group === 0
            ? { ...known, leader: null, conf: { voters: members, learners: [], joint: false } }
            : { ...known, leader: null },
        );
      const collections = view.collections.map((collection) => ({
        ...collection,
        placement: collection.placement.map((shard) => ({
          ...shard,
          replicas: held.map((node) => ({ node, founding: false })),
        })),
      }));
      return { ...view, groups, collections };
    };
    expect(removals(idle([1], [1, 2]))).toEqual([]);
    expect(removals(idle([1, 2], [1]))).toEqual([]);
    expect(removals(idle([1], [1]))).toMatchObject([{ node: 2 }]);
  });

  test("a leaving node that held one of two replicas gives it to the node that is left", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 2, [1, 3]);
    cluster.settle();
    cluster.command({ kind: "leaveNode", nodeId: 3 });
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2]);
  });

  test("a dead node keeps its place until it was away for too long", () => {
    const cluster = new ModelCluster(4);
    cluster.replaceAfterMs = 1_000;
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.kill(3);
    cluster.deadForMs.set(3, 999);
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
    cluster.deadForMs.set(3, 1_000);
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2, 4]);
  });

  test("a dead node keeps its place for ever when replacing is off", () => {
    const cluster = new ModelCluster(4);
    cluster.replaceAfterMs = 0;
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.kill(3);
    for (const deadForMs of [0, 1, 1e12]) {
      cluster.deadForMs.set(3, deadForMs);
      expect(cluster.settle()).toEqual([]);
    }
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
  });
});

describe("a replica that diverged", () => {
  const groupOf = (cluster: ModelCluster): number =>
    cluster.catalogue.collection("a")?.placement[0]?.group ?? -1;

  test.each([2, 3])("is removed and made anew, also when all %i nodes hold one", (nodes) => {
    const cluster = new ModelCluster(nodes);
    const ids = Array.from({ length: nodes }, (_, at) => at + 1);
    cluster.found("a", nodes, ids);
    cluster.settle();
    cluster.diverged.set(groupOf(cluster), new Set([2]));
    const steps = cluster
      .settle()
      .map((decision) => [decision.kind, "node" in decision ? decision.node : null]);
    expect(steps).toEqual(
      expect.arrayContaining([
        ["drop", 2],
        ["place", 2],
      ]),
    );
    expect(voters(cluster, "a")).toEqual(ids);
    expect(cluster.diverged.get(groupOf(cluster))?.size).toBe(0);
  });

  test("hands its leadership over first", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    const leader = cluster.groups.get(groupOf(cluster))?.leader ?? 0;
    cluster.diverged.set(groupOf(cluster), new Set([leader]));
    const [first] = cluster.settle();
    expect(first).toMatchObject({ kind: "transfer", leader });
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
  });

  test("is given no leadership while it cannot be removed, and keeps none", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 3, [1, 2, 3], 4);
    cluster.settle();
    cluster.kill(3);
    const groups = cluster.catalogue.collection("a")?.placement.map(({ group }) => group) ?? [];
    for (const id of groups) {
      const group = cluster.groups.get(id);
      if (group !== undefined) group.leader = 1;
      cluster.diverged.set(id, new Set([2]));
    }
    expect(cluster.settle()).toEqual([]);
    const [first = 0] = groups;
    const group = cluster.groups.get(first);
    if (group !== undefined) group.leader = 2;
    expect(cluster.settle()).toMatchObject([{ kind: "transfer", group: first, leader: 2, to: 1 }]);
    cluster.revive(3);
    cluster.settle();
    for (const id of groups) expect(cluster.diverged.get(id)?.size).toBe(0);
  });

  test("is no source of new ones: while it leads and nobody else can, nothing is given up", () => {
    const cluster = new ModelCluster(4);
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.diverged.set(groupOf(cluster), new Set([1, 2, 3]));
    expect(cluster.settle()).toEqual([]);
    cluster.diverged.set(groupOf(cluster), new Set([1, 2]));
    cluster.settle();
    expect(voters(cluster, "a")).toContain(3);
    expect(cluster.diverged.get(groupOf(cluster))?.size).toBe(0);
  });

  test("keeps its vote while the others could not decide without it", () => {
    const cluster = new ModelCluster(3);
    cluster.found("a", 3, [1, 2, 3]);
    cluster.settle();
    cluster.kill(3);
    const leader = cluster.groups.get(groupOf(cluster))?.leader ?? 0;
    const damaged = leader === 1 ? 2 : 1;
    cluster.diverged.set(groupOf(cluster), new Set([damaged]));
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
    cluster.revive(3);
    cluster.settle();
    expect(voters(cluster, "a")).toEqual([1, 2, 3]);
    expect(cluster.diverged.get(groupOf(cluster))?.size).toBe(0);
  });
});

test("leaders spread over the nodes, and then stay where they are", () => {
  const cluster = new ModelCluster(3);
  cluster.found("a", 3, [1, 2, 3], 6);
  cluster.settle();
  const led = [...cluster.groups].filter(([id]) => id !== 0).map(([, { leader }]) => leader);
  for (const node of [1, 2, 3]) expect(led.filter((leader) => leader === node)).toHaveLength(2);
  expect(cluster.settle()).toEqual([]);
});

test("whatever happens, no change costs a majority, and once it is quiet everything is as wanted", () => {
  const event = fc.oneof(
    fc.constant({ kind: "join" as const }),
    fc.record({
      kind: fc.constantFrom("kill" as const, "revive" as const, "leave" as const),
      node: fc.nat(7),
    }),
    fc.record({ kind: fc.constant("factor" as const), factor: fc.integer({ min: 1, max: 5 }) }),
    fc.record({ kind: fc.constant("step" as const), lost: fc.boolean(), twice: fc.boolean() }),
    fc.constant({ kind: "catchUp" as const }),
  );
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 4 }), fc.array(event, { maxLength: 60 }), (nodes, events) => {
      const cluster = new ModelCluster(nodes);
      cluster.found("a", 3, [1], 2);
      for (const happened of events) {
        const ids = cluster.catalogue.nodes().map(({ nodeId }) => nodeId);
        switch (happened.kind) {
          case "join":
            if (ids.length < 6) cluster.join();
            break;
          case "kill": {
            const node = ids[happened.node % ids.length] ?? 1;
            if (cluster.alive.size > 1) cluster.kill(node);
            break;
          }
          case "revive":
            cluster.revive(ids[happened.node % ids.length] ?? 1);
            break;
          case "leave":
            cluster.command({ kind: "leaveNode", nodeId: ids[happened.node % ids.length] ?? 1 });
            break;
          case "factor": {
            const patch = { replicationFactor: happened.factor };
            cluster.command({ kind: "updateCollection", name: "a", metadataBytesMax: 1, patch });
            break;
          }
          case "catchUp":
            cluster.catchUp();
            break;
          case "step": {
            const view = cluster.view();
            expect(plan(view)).toEqual(plan(view));
            for (const decision of happened.lost ? [] : plan(view)) {
              cluster.carryOut(decision);
              if (happened.twice) cluster.carryOut(decision);
            }
            cluster.follow();
          }
        }
      }
      for (const { nodeId } of cluster.catalogue.nodes()) cluster.revive(nodeId);
      cluster.catchUp();
      cluster.settle();
      const collection = cluster.catalogue.collection("a");
      const active = cluster.catalogue.nodes().length;
      for (const { group, replicas } of collection?.placement ?? []) {
        const wanted = Math.min(collection?.replicationFactor ?? 0, active);
        expect(replicas).toHaveLength(wanted);
        expect([...(cluster.groups.get(group)?.voters ?? [])].sort()).toEqual(
          replicas.map(({ node }) => node).sort(),
        );
      }
      expect(cluster.catalogue.nodes().every(({ state }) => state === "active")).toBe(true);
    }),
    { seed: 20261121, numRuns: 300 },
  );
});
