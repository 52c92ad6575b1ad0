import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Command } from "commander";
import { Socket } from "node:net";
import { describe, expect, test, vi } from "vitest";
import { registerCollections } from "../../src/cli/collections.ts";
import { registerNodes } from "../../src/cli/nodes.ts";
import { registerShards } from "../../src/cli/shards.ts";
import { registerStatus } from "../../src/cli/status.ts";
import { startRest, type Rest } from "../support/rest.ts";

/** What the program writes to its output when it is run with these arguments against the node. */
async function flotilla(rest: Pick<Rest, "url">, ...args: readonly string[]): Promise<string> {
  const program = new Command("flotilla").exitOverride();
  for (const register of [registerCollections, registerNodes, registerShards, registerStatus])
    register(program);
  for (const command of program.commands.flatMap((group) => [group, ...group.commands]))
    command.exitOverride().configureOutput({ writeErr: () => undefined });
  const written: string[] = [];
  const output = vi.spyOn(process.stdout, "write").mockImplementation((chunk) => {
    written.push(String(chunk));
    return true;
  });
  try {
    await program.parseAsync([...args, "--url", rest.url], { from: "user" });
  } finally {
    output.mockRestore();
  }
  return written.join("");
}

/** Lines of a table as lists of cells. */
const cells = (text: string): readonly (readonly string[])[] =>
  text
    .trimEnd()
    .split("\n")
    .map((line) => line.trim().split(/\s{2,}/));

async function withCity(): Promise<Rest> {
  const rest = await startRest();
  await flotilla(rest, "collections", "create", "city", "--size", "4", "--shards", "2", "--replicas", "1");
  return rest;
}

describe("flotilla nodes", () => {
  test("lists nodes, with or without saying so, and shows one that leaves", async () => {
    await using rest = await startRest();
    const [head, first, ...more] = cells(await flotilla(rest, "nodes"));
    expect(head?.slice(0, 5)).toEqual(["node", "state", "role", "leads", "replicas"]);
    expect(first?.slice(0, 3)).toEqual(["1", "active", "voter"]);
    expect(more).toHaveLength(2);
    expect(await flotilla(rest, "nodes", "remove", "3")).toContain("node 3 is leaving");
    expect(cells(await flotilla(rest, "nodes", "list"))[3]?.slice(0, 2)).toEqual(["3", "leaving"]);
  });

  test("shows of a node that is away that it leaves", async () => {
    const node = (id: number, alive: boolean, state: string) => ({
      node_id: id,
      alive,
      state,
      role: "voter",
    });
    const nodes = [node(1, true, "active"), node(2, false, "active"), node(3, false, "leaving")];
    const server = createServer((_, answer) => answer.end(JSON.stringify({ result: { nodes } })));
    await once(server.listen(0, "127.0.0.1"), "listening");
    const { port } = server.address() as AddressInfo;
    try {
      const rows = cells(await flotilla({ url: `http://127.0.0.1:${port}` }, "nodes")).slice(1);
      expect(rows.map((row) => row[1])).toEqual(["active", "unreachable", "leaving, unreachable"]);
    } finally {
      server.close();
    }
  });

  test("passes on why a node cannot go, in the node's words", async () => {
    await using rest = await startRest();
    await expect(flotilla(rest, "nodes", "remove", "9")).rejects.toThrow(/DELETE \/nodes\/9: 422: .*9/);
    await expect(flotilla(rest, "nodes", "remove", "x")).rejects.toThrow(/whole number from 1 on/);
  });
});

describe("flotilla shards", () => {
  test("lists replicas, as a table and as JSON", async () => {
    await using rest = await withCity();
    const [head, ...rows] = cells(await flotilla(rest, "shards", "list", "city"));
    expect(head).toEqual([
      ...["shard", "node", "role", "state", "points", "term", "commit", "applied", "match", "lag"],
    ]);
    expect(rows.map((row) => row.slice(0, 4))).toEqual([
      ["0", "1", "leader", "active"],
      ["1", "1", "leader", "active"],
    ]);
    const answer = (await rest.call("GET", "/collections/city/shards")).body.result;
    expect(JSON.parse(await flotilla(rest, "shards", "list", "city", "--json"))).toEqual(answer);
  });

  test("gives and takes votes, and passes leaderships on", async () => {
    await using rest = await withCity();
    const added = await flotilla(rest, "shards", "add-voter", "city", "0", "2");
    expect(added).toBe("node 2 votes in shard 0 of city\n");
    expect(await flotilla(rest, "shards", "transfer", "city", "0", "2")).toBe(
      "node 2 leads shard 0 of city\n",
    );
    expect(await flotilla(rest, "shards", "restart", "city", "0", "2")).toBe(
      "shard 0 of city serves again on node 2\n",
    );
    expect(await flotilla(rest, "shards", "restart", "city", "0")).toContain("on the node asked");
    const removed = await flotilla(rest, "shards", "remove-voter", "city", "0", "1", "--no-wait");
    expect(removed).toBe("node 1 is to vote no more in shard 0 of city\n");
    const rows = cells(await flotilla(rest, "shards", "list", "city"));
    expect(rows[1]?.slice(0, 3)).toEqual(["0", "2", "leader"]);
  });

  test("waits for a vote longer than the node was told to, so that its words arrive", async () => {
    await using rest = await withCity();
    const silence = vi.spyOn(Socket.prototype, "setTimeout");
    try {
      await flotilla(rest, "shards", "add-voter", "city", "0", "2", "--timeout", "500");
      expect(silence.mock.calls.map(([ms]) => ms)).toContain(515_000);
    } finally {
      silence.mockRestore();
    }
  });

  test("says what was wrong with a wish", async () => {
    await using rest = await withCity();
    await expect(flotilla(rest, "shards", "add-voter", "city", "-1", "2")).rejects.toThrow();
    await expect(flotilla(rest, "shards", "add-voter", "city", "0", "1")).rejects.toThrow(/409/);
    await expect(flotilla(rest, "shards", "list", "none")).rejects.toThrow(/404: .*none/);
  });
});

describe("flotilla status and collections", () => {
  test("a file for --ca-file without a certificate is refused before anything is asked", async () => {
    await using rest = await startRest();
    await expect(flotilla(rest, "status", "--ca-file", "package.json")).rejects.toThrow(
      "--ca-file package.json: it holds no certificate in PEM",
    );
  });

  test("status shows the node and every replica of every collection", async () => {
    await using rest = await withCity();
    const shown = await flotilla(rest, "status");
    expect(shown).toMatch(/^node 1 of cluster /);
    expect(shown).toMatch(/collection +shard +node +role/);
    expect(shown.match(/^city /gm)).toHaveLength(2);
  });

  test("aliases are listed with what they stand for", async () => {
    await using rest = await withCity();
    expect(await flotilla(rest, "collections", "aliases")).toBe("no aliases\n");
    await rest.call("POST", "/collections/aliases", {
      actions: [{ create_alias: { collection_name: "city", alias_name: "town" } }],
    });
    expect(cells(await flotilla(rest, "collections", "aliases"))).toEqual([
      ["alias", "collection"],
      ["town", "city"],
    ]);
  });
});
