import { describe, expect, test } from "vitest";
import { Controller, type ShardActions, type ShardPlace } from "../../src/catalog/controller.ts";
import type { CatalogueState } from "../../src/catalog/state.ts";
import { command, create, founded } from "./support.ts";

/** A node that writes down what it is told to do; steps named in `hold` wait until they are released. */
class Node implements ShardActions {
  readonly did: string[] = [];
  readonly here = new Set<number>();
  readonly failing = new Set<number>();
  /** Groups whose engine cannot save what it holds. */
  readonly unsaved = new Set<number>();
  #held = new Map<string, () => void>();
  readonly hold = new Set<string>();

  async open({ group }: ShardPlace): Promise<void> {
    await this.#step(`open ${group}`);
    if (this.failing.has(group)) throw new Error("disk trouble");
    this.here.add(group);
  }
  async close(group: number): Promise<void> {
    await this.#step(`close ${group}`);
    if (this.unsaved.has(group)) throw new Error("disk full");
  }
  async destroy(group: number): Promise<void> {
    await this.#step(`destroy ${group}`);
    this.here.delete(group);
  }
  present = (): Promise<readonly number[]> => Promise.resolve([...this.here]);
  release(step: string): void {
    this.#held.get(step)?.();
  }
  async #step(step: string): Promise<void> {
    if (this.hold.has(step)) await new Promise<void>((resolve) => this.#held.set(step, resolve));
    this.did.push(step);
  }
}

function controllerOf(node: Node, nodeId = 1) {
  const events: string[] = [];
  const controller = new Controller(
    { nodeId },
    {
      actions: node,
      events: {
        opened: ({ group }) => events.push(`opened ${group}`),
        removed: (group) => events.push(`removed ${group}`),
        restarting: ({ group }) => events.push(`restarting ${group}`),
        failed: (group, doing, error) => events.push(`${doing} ${group}: ${error.message}`),
      },
    },
  );
  return { controller, events };
}

function catalogueOf(...names: string[]): CatalogueState {
  const state = founded();
  names.forEach((name, at) => state.apply(at + 1, command(at, create(name))));
  return state;
}

test("at start what no collection has is removed, what one has is opened", async () => {
  const node = new Node();
  node.here.add(1024).add(9999);
  const { controller, events } = controllerOf(node);
  await controller.start(() => catalogueOf("a").collections());
  expect(node.did).toEqual(["close 9999", "destroy 9999", "open 1024"]);
  expect(events).toEqual(["removed 9999", "opened 1024"]);
  expect(controller.isOpen(1024)).toBe(true);
});

test("a collection deleted and made again at once: the old group closes, the new one opens", async () => {
  const node = new Node();
  const state = catalogueOf("a");
  const { controller } = controllerOf(node);
  await controller.start(() => state.collections());
  state.apply(2, command(2, { kind: "deleteCollection", name: "a" }));
  controller.follow(state.collections());
  state.apply(3, command(3, create("a")));
  controller.follow(state.collections());
  await controller.opened([3072]);
  await controller.closed([1024]);
  await controller.settled();
  expect([...node.here]).toEqual([3072]);
});

test("closed resolves before data is destroyed, settled after", async () => {
  const node = new Node();
  const state = catalogueOf("a");
  const { controller } = controllerOf(node);
  await controller.start(() => state.collections());
  node.hold.add("destroy 1024");
  state.apply(2, command(2, { kind: "deleteCollection", name: "a" }));
  controller.follow(state.collections());
  await controller.closed([1024]);
  expect(node.here.has(1024)).toBe(true);
  node.release("destroy 1024");
  await controller.settled();
  expect(node.here.has(1024)).toBe(false);
});

test("what cannot be saved when it closes is destroyed all the same", async () => {
  const node = new Node();
  const state = catalogueOf("a");
  const { controller, events } = controllerOf(node);
  await controller.start(() => state.collections());
  node.unsaved.add(1024);
  state.apply(2, command(2, { kind: "deleteCollection", name: "a" }));
  controller.follow(state.collections());
  await controller.closed([1024]);
  await controller.settled();
  expect(node.here.has(1024)).toBe(false);
  expect(events).toEqual(["opened 1024", "remove 1024: disk full", "removed 1024"]);
});

test("deleting while it opens waits for the opening", async () => {
  const node = new Node();
  node.hold.add("open 1024");
  const state = catalogueOf("a");
  const { controller } = controllerOf(node);
  controller.follow(state.collections());
  state.apply(2, command(2, { kind: "deleteCollection", name: "a" }));
  controller.follow(state.collections());
  node.release("open 1024");
  await controller.settled();
  expect(node.did).toEqual(["open 1024", "close 1024", "destroy 1024"]);
});

describe("a shard that does not open", () => {
  test("fails the start with its reason, and others go on", async () => {
    const node = new Node();
    node.failing.add(1024);
    const { controller, events } = controllerOf(node);
    await expect(controller.start(() => catalogueOf("a", "b").collections())).rejects.toThrow(
      "shard 0 of collection a failed to open: disk trouble",
    );
    expect(controller.problems()).toEqual(["shard 0 of collection a failed to open: disk trouble"]);
    expect(controller.isOpen(2048)).toBe(true);
    expect(events).toContain("open 1024: disk trouble");
    await expect(controller.opened([1024])).rejects.toThrow("disk trouble");
  });

  test("and was created while the node was starting fails its creator, not the start", async () => {
    const node = new Node();
    node.failing.add(2048);
    const { controller } = controllerOf(node);
    let asked = 0;
    await controller.start(() => catalogueOf(...(asked++ === 0 ? ["a"] : ["a", "b"])).collections());
    expect(controller.isOpen(1024)).toBe(true);
    await expect(controller.opened([2048])).rejects.toThrow("disk trouble");
  });
});

test("replicas placed on other nodes are not opened here", async () => {
  const node = new Node();
  const { controller } = controllerOf(node, 2);
  await controller.start(() => catalogueOf("a").collections());
  expect(node.did).toEqual([]);
});

test("a removal cut short by a crash is done again at the next start", async () => {
  const node = new Node();
  node.here.add(1024);
  const { controller } = controllerOf(node);
  await controller.start(() => catalogueOf().collections());
  await controller.settled();
  expect(node.did).toEqual(["close 1024", "destroy 1024"]);
});

test("a replica that comes back waits until the one before it is gone", async () => {
  const node = new Node();
  const { controller } = controllerOf(node);
  await controller.start(() => catalogueOf("a").collections());
  node.hold.add("destroy 1024");
  controller.follow([]);
  controller.follow(catalogueOf("a").collections());
  await Promise.resolve();
  expect(node.did.filter((step) => step === "open 1024")).toHaveLength(1);
  await controller.closed([1024]);
  node.release("destroy 1024");
  await controller.opened([1024]);
  expect(node.did).toEqual(["open 1024", "close 1024", "destroy 1024", "open 1024"]);
});

describe("a restart", () => {
  test("closes the shard, then opens it, and touches no other", async () => {
    const node = new Node();
    const { controller, events } = controllerOf(node);
    await controller.start(() => catalogueOf("a", "b").collections());
    node.did.length = 0;
    events.length = 0;
    await controller.restart(1024);
    expect(node.did).toEqual(["close 1024", "open 1024"]);
    expect(events).toEqual(["restarting 1024", "opened 1024"]);
    await expect(controller.restart(9)).rejects.toThrow("group 9 has no place on this node");
  });

  test("opens one that failed, and says when it fails again", async () => {
    const node = new Node();
    const { controller } = controllerOf(node);
    node.failing.add(1024);
    await expect(controller.start(() => catalogueOf("a").collections())).rejects.toThrow("disk trouble");
    await expect(controller.restart(1024)).rejects.toThrow("disk trouble");
    node.failing.clear();
    await controller.restart(1024);
    expect(controller.isOpen(1024)).toBe(true);
    expect(controller.problems()).toEqual([]);
  });

  test("of a shard that is being restarted waits for it", async () => {
    const node = new Node();
    const { controller } = controllerOf(node);
    await controller.start(() => catalogueOf("a").collections());
    node.did.length = 0;
    node.hold.add("close 1024");
    const both = [controller.restart(1024), controller.restart(1024)];
    expect(controller.isOpen(1024)).toBe(false);
    node.release("close 1024");
    await Promise.all(both);
    expect(node.did).toEqual(["close 1024", "open 1024"]);
  });

  test("of one that is removed meanwhile ends with the removal", async () => {
    const node = new Node();
    const state = catalogueOf("a");
    const { controller } = controllerOf(node);
    await controller.start(() => state.collections());
    node.hold.add("open 1024");
    const restarted = controller.restart(1024);
    state.apply(2, command(2, { kind: "deleteCollection", name: "a" }));
    controller.follow(state.collections());
    await new Promise<void>((resolve) => setImmediate(resolve));
    node.release("open 1024");
    await restarted;
    await controller.settled();
    expect([...node.here]).toEqual([]);
  });
});
