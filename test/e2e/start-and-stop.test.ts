import { spawnSync } from "node:child_process";
import { createServer } from "node:net";
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { programVersion } from "../../src/observability/build-facts.ts";
import { Client } from "./support/client.ts";
import { NodeProcess, temporaryDirectory, type Ended } from "./support/node-process.ts";

/** One line that says what is wrong, and nothing that looks like a crash. */
function complaint({ code, stderr, stdout }: Ended): string {
  expect(code).toBe(1);
  expect(stdout).not.toContain("ready");
  const lines = stderr.split("\n").filter((line) => line.startsWith("flotilla: "));
  expect(lines).toHaveLength(1);
  expect(stderr).not.toMatch(/^\s+at /m);
  return lines[0] ?? "";
}

describe("a start", () => {
  test("ends in one ready line; SIGTERM ends the node with 0 and frees the directory", async () => {
    await using node = await NodeProcess.start();
    expect(node.readyLine).toMatch(
      /^ready http=127\.0\.0\.1:\d+ grpc=127\.0\.0\.1:\d+ peer=127\.0\.0\.1:\d+ node=1$/,
    );
    const { code, stdout } = await node.stop();
    expect(code).toBe(0);
    expect(stdout.trim().split("\n")).toHaveLength(1);
    expect(readdirSync(node.dataDir)).not.toContain("lock");
  });

  test("that waits for a cluster to let it in ends with 0 as well, and without a word", async () => {
    let pid = 0;
    let told = false;
    const { code, stderr } = await NodeProcess.run({
      args: ["--join", "127.0.0.1:1"],
      spawned: (child) => (pid = child),
      complained: (all) => {
        if (told || !all.includes("not in the cluster yet")) return;
        told = true;
        process.kill(pid, "SIGTERM");
      },
    });
    expect(stderr).not.toContain("flotilla: ");
    expect(code).toBe(0);
  });

  test("on a directory in use says who holds it, and leaves the holder alone", async () => {
    await using node = await NodeProcess.start();
    const second = await NodeProcess.run({ dataDir: node.dataDir });
    expect(complaint(second)).toContain(`is in use by process ${node.child.pid}`);
    expect((await fetch(`${node.url}/readyz`)).status).toBe(200);
  });

  test("after kill -9 takes the stale lock over", async () => {
    using directory = temporaryDirectory();
    await using first = await NodeProcess.start({ dataDir: directory.path });
    await first.kill();
    await using second = await NodeProcess.start({ dataDir: directory.path });
    expect((await fetch(`${second.url}/readyz`)).status).toBe(200);
  });

  test("whose lock file was lost is still refused: the log is locked by the system", async () => {
    await using node = await NodeProcess.start();
    spawnSync("rm", [join(node.dataDir, "lock")]);
    expect(complaint(await NodeProcess.run({ dataDir: node.dataDir }))).toMatch(/raft\.db/);
  });

  test("on a taken port is one line, and a free directory again", async () => {
    using directory = temporaryDirectory();
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const bound = server.address();
        resolve(typeof bound === "object" && bound !== null ? bound.port : 0);
      });
    });
    const taken = await NodeProcess.run({
      dataDir: directory.path,
      args: ["--http-addr", `127.0.0.1:${port}`],
    });
    expect(complaint(taken)).toContain(`http.addr 127.0.0.1:${port} is taken by another process`);
    const args = ["--http-addr", "127.0.0.1:0", "--peer-addr", `127.0.0.1:${port}`];
    // Each option with the flag that exists for it.
    expect(complaint(await NodeProcess.run({ dataDir: directory.path, args }))).toContain(
      `cluster.peer_addr 127.0.0.1:${port} is taken by another process; choose another --peer-addr`,
    );
    server.close();
    await using node = await NodeProcess.start({ dataDir: directory.path });
    expect(node.readyLine).toContain("ready");
  });

  test("on a taken port asks no cluster for a place: it would stay behind as a member that is not there", async () => {
    await using member = await NodeProcess.start();
    const port = new URL(member.url).port;
    const join = /peer=(\S+)/.exec(member.readyLine)?.[1] ?? "";
    const taken = await NodeProcess.run({ args: ["--http-addr", `127.0.0.1:${port}`, "--join", join] });
    expect(complaint(taken)).toContain(`http.addr 127.0.0.1:${port} is taken by another process`);
    const { result } = (await (await fetch(`${member.url}/nodes`)).json()) as {
      result: { nodes: unknown[] };
    };
    expect(result.nodes).toHaveLength(1);
  });

  test("with an unknown flag names the nearest", async () => {
    const { code, stderr } = await NodeProcess.run({ args: ["--limits-body-byte", "1"] });
    expect(code).toBe(1);
    expect(stderr).toContain("--limits-body-bytes");
  });

  test.each([
    [{ args: ["--limits-body-bytes", "1"] }, /limits\.body_bytes on the command line: "1" is not/],
    [{ env: { FLOTILLA__LIMITS__BODY_BYTE: "1" } }, /nearest one is FLOTILLA__LIMITS__BODY_BYTES/],
    [{ args: ["--http-addr", "0.0.0.0:0"] }, /no API key is set/],
    [{ args: ["--node-id", "0"] }, /node\.id .* 1 to 65535/],
    [{ args: ["--config", "/nowhere.yaml"] }, /nowhere\.yaml cannot be read/],
  ])("with %j is one line", async (options, message) => {
    expect(complaint(await NodeProcess.run(options))).toMatch(message);
  });

  test("as another node than the directory's is refused", async () => {
    using directory = temporaryDirectory();
    await using node = await NodeProcess.start({ dataDir: directory.path, args: ["--node-id", "3"] });
    expect(node.readyLine).toMatch(/node=3$/);
    await node.stop();
    const other = await NodeProcess.run({ dataDir: directory.path, args: ["--node-id", "4"] });
    expect(complaint(other)).toContain("belongs to node 3");
  });
});

describe("a directory that cannot be trusted", () => {
  /** A node with one collection and some points, stopped orderly. */
  async function filled(path: string): Promise<void> {
    await using node = await NodeProcess.start({ dataDir: path });
    const client = new Client(node.url);
    await client.create("c", { size: 4 });
    for (let id = 0; id < 20; id++) await client.upsert("c", [{ id, vector: [id, 1, 0, 0] }]);
    await node.stop();
  }
  /** Overwrites the middle of a file. */
  function damage(file: string): void {
    const bytes = readFileSync(file);
    bytes.fill(0xa5, Math.floor(bytes.length / 4), Math.floor(bytes.length / 2));
    writeFileSync(file, bytes);
  }

  test("a damaged catalogue is one line that names it", async () => {
    using directory = temporaryDirectory();
    await filled(directory.path);
    damage(join(directory.path, "catalogue.json"));
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(
      /catalogue\.json is corrupt/,
    );
  });

  test("a damaged log is one line that names it", async () => {
    using directory = temporaryDirectory();
    await filled(directory.path);
    damage(join(directory.path, "raft.db"));
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(/raft\.db|log/);
  });

  test("a log that is empty or missing is one line that says what is lost with it", async () => {
    using directory = temporaryDirectory();
    await filled(directory.path);
    const file = join(directory.path, "raft.db");
    writeFileSync(file, "");
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(
      /raft\.db is empty, and with it/,
    );
    expect(statSync(file).size).toBe(0);
    rmSync(file);
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(
      /raft\.db is missing, and with it/,
    );
  });

  test("a damaged point store is one line that names its shard", async () => {
    using directory = temporaryDirectory();
    await filled(directory.path);
    const shards = join(directory.path, "shards");
    const store = readdirSync(shards, { recursive: true, encoding: "utf8" }).find((name) =>
      name.endsWith("points.sqlite"),
    );
    expect(store).toBeDefined();
    const file = join(shards, store ?? "");
    truncateSync(file, Math.floor(statSync(file).size / 3));
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(/shard 0 of collection c/);
  });

  test("a damaged identity is one line that names it", async () => {
    using directory = temporaryDirectory();
    await filled(directory.path);
    writeFileSync(join(directory.path, "node.json"), "{}");
    expect(complaint(await NodeProcess.run({ dataDir: directory.path }))).toMatch(/node\.json is corrupt/);
  });

  test.skipIf(process.getuid?.() === 0)("one that may not be written is one line", async () => {
    using directory = temporaryDirectory();
    const path = join(directory.path, "data");
    mkdirSync(join(path, "shards"), { recursive: true });
    chmodSync(path, 0o500);
    expect(complaint(await NodeProcess.run({ dataDir: path }))).toMatch(/cannot be written/);
    chmodSync(path, 0o700);
  });

  test("one that lies in a file is one line", async () => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "file");
    writeFileSync(file, "");
    expect(complaint(await NodeProcess.run({ dataDir: join(file, "data") }))).toMatch(/cannot be used/);
  });
});

describe("a full disk", () => {
  const mount = (...args: string[]): boolean => spawnSync("mount", args).status === 0;

  test("ends in one line and a non-zero exit; what was acknowledged is there afterwards", async (context) => {
    using directory = temporaryDirectory();
    const disk = join(directory.path, "disk");
    mkdirSync(disk);
    context.skip(
      !mount("-t", "tmpfs", "-o", "size=6m", "tmpfs", disk),
      "this user may not mount a small disk",
    );
    try {
      // The quota would refuse in time: here the disk is to be full for the log itself.
      await using node = await NodeProcess.start({ dataDir: disk, args: ["--quota-disk-free-bytes", "0"] });
      const client = new Client(node.url);
      await client.create("c", { size: 256 });
      const acknowledged: number[] = [];
      const vector = Array.from({ length: 256 }, (_, at) => at / 256);
      for (let batch = 0; batch < 200; batch++) {
        const points = Array.from({ length: 50 }, (_, at) => ({ id: batch * 50 + at, vector }));
        const answer = await client.upsert("c", points).catch(() => null);
        if (answer?.status !== 200) break;
        acknowledged.push(...points.map(({ id }) => id));
      }
      expect(acknowledged.length).toBeGreaterThan(0);
      expect(acknowledged.length).toBeLessThan(10_000);
      const end = await node.ended;
      expect(end.code).toBe(1);
      const [line = "", ...others] = end.stderr.split("\n").filter((text) => text.startsWith("flotilla: "));
      expect(line).toMatch(/full/);
      expect(others).toEqual([]);

      // Space is made, and everything that was acknowledged is there.
      expect(mount("-o", "remount,size=64m", disk)).toBe(true);
      await using again = await NodeProcess.start({ dataDir: disk });
      const found = await new Client(again.url).all("c");
      expect(acknowledged.filter((id) => !found.has(id))).toEqual([]);
      await again.stop();
    } finally {
      spawnSync("umount", [disk]);
    }
  });
});

describe("ending", () => {
  test("SIGTERM finishes what is in flight and takes nothing new", async () => {
    await using node = await NodeProcess.start();
    const client = new Client(node.url);
    await client.create("c", { size: 64 });
    const vector = Array.from({ length: 64 }, () => 0.5);
    const writes = Array.from({ length: 40 }, (_, batch) =>
      client
        .upsert(
          "c",
          Array.from({ length: 100 }, (_, at) => ({ id: batch * 100 + at, vector })),
        )
        .then(({ status }) => status)
        .catch(() => "refused" as const),
    );
    const { code } = await node.stop();
    expect(code).toBe(0);
    const ends = await Promise.all(writes);
    // Whole answers or none: nothing hangs and nothing is cut in the middle.
    for (const end of ends) expect([200, 503, "refused"]).toContain(end);
  });

  test("SIGINT ends it the same way", async () => {
    await using node = await NodeProcess.start();
    expect((await node.stop("SIGINT")).code).toBe(0);
  });
});

describe("the program", () => {
  const run = (...args: string[]) =>
    spawnSync(process.execPath, ["dist/src/main.js", ...args], { encoding: "utf8" });

  test("says its version and its commands", () => {
    expect(run("--version").stdout.trim()).toBe(programVersion());
    expect(run("--help").stdout).toMatch(/serve[\s\S]*status[\s\S]*collections[\s\S]*import/);
  });

  test("shows a node with its build, and collections, as a table and as JSON", async () => {
    await using node = await NodeProcess.start();
    const create = run("collections", "create", "c", "--size", "4", "--shards", "2", "--url", node.url);
    expect(create.stdout).toBe("created c\n");
    const status = run("status", "--url", node.url);
    expect(status.stdout).toMatch(/hnswlib (native|portable|unknown)/);
    expect(status.stdout).toMatch(/^c +1 +1 +leader +active/m);
    const json = JSON.parse(run("status", "--json", "--url", node.url).stdout) as {
      node: { node_id: number };
    };
    expect(json.node.node_id).toBe(1);
    expect(run("collections", "list", "--url", node.url).stdout).toMatch(/^c +4 +Cosine +0/m);
    expect(run("collections", "delete", "c", "--url", node.url).stdout).toBe("deleted c\n");
    const gone = run("collections", "delete", "c", "--url", node.url);
    expect(gone.status).toBe(1);
    expect(gone.stderr).toMatch(/flotilla: .*(there is no collection c|doesn't exist)/);
  });

  test("against a node that is not there fails in one line", () => {
    const { status, stderr } = run("status", "--url", "http://127.0.0.1:1");
    expect(status).toBe(1);
    expect(
      stderr
        .trim()
        .split("\n")
        .filter((line) => line.startsWith("flotilla: ")),
    ).toHaveLength(1);
  });
});
