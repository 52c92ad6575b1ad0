import { expect, test } from "vitest";
import type { CatalogueNode } from "../../src/catalog/types.ts";
import { chooseFounders } from "../../src/cluster/founders.ts";

const node = (nodeId: number, state: CatalogueNode["state"] = "active"): CatalogueNode => ({
  nodeId,
  incarnation: `i${nodeId}`,
  http: "",
  grpc: "",
  peer: "",
  version: "1",
  state,
  joined: nodeId,
});
const all = () => true;

test("replicas and leaders are spread evenly, whatever the numbers", () => {
  for (const nodes of [1, 2, 3, 4, 5, 7]) {
    for (const replicationFactor of [1, 2, 3]) {
      for (const shardNumber of [1, 2, 3, 4, 6, 12]) {
        const ids = Array.from({ length: nodes }, (_, at) => at + 1);
        const placement = chooseFounders(
          { shardNumber, replicationFactor },
          ids.map((id) => node(id)),
          [],
          all,
        );
        expect(placement).toHaveLength(shardNumber);
        for (const founders of placement) {
          expect(new Set(founders).size).toBe(Math.min(replicationFactor, nodes));
          expect(founders).toHaveLength(Math.min(replicationFactor, nodes));
        }
        const held = ids.map((id) => placement.filter((founders) => founders.includes(id)).length);
        expect(Math.max(...held) - Math.min(...held)).toBeLessThanOrEqual(1);
        const led = ids.map((id) => placement.filter(([first]) => first === id).length);
        expect(Math.max(...led) - Math.min(...led)).toBeLessThanOrEqual(2);
      }
    }
  }
});

test("nothing is founded on a node that is leaving", () => {
  const nodes = [node(1), node(2, "leaving"), node(3)];
  const wanted = { shardNumber: 2, replicationFactor: 3 };
  expect(chooseFounders(wanted, nodes, [], all)).toEqual([
    [1, 3],
    [3, 1],
  ]);
  expect(chooseFounders(wanted, [node(2, "leaving")], [], all)).toEqual([[], []]);
});

test("a node that is not up founds only when there are too few others, and never leads", () => {
  const nodes = [1, 2, 3, 4].map((id) => node(id));
  const isUp = (id: number) => id !== 1;
  expect(chooseFounders({ shardNumber: 1, replicationFactor: 3 }, nodes, [], isUp)).toEqual([[2, 3, 4]]);
  const three = chooseFounders({ shardNumber: 2, replicationFactor: 3 }, nodes.slice(0, 3), [], isUp);
  expect(three).toEqual([
    [2, 3, 1],
    [3, 2, 1],
  ]);
});
