/** One shard's disk fails under a node that goes on: what stops, what says so, and how it comes back. */
import { afterAll, beforeAll, expect, test, type TestContext } from "vitest";
import { FaultyLibc } from "./cluster/support/faulty-libc.ts";
import { Client, type Answer } from "./support/client.ts";
import { NodeProcess, temporaryDirectory } from "./support/node-process.ts";

let built: FaultyLibc | string = "not built";
beforeAll(() => {
  built = FaultyLibc.build();
});
afterAll(() => {
  if (built instanceof FaultyLibc) built[Symbol.dispose]();
});
function libcOf(context: TestContext): FaultyLibc {
  if (built instanceof FaultyLibc) return built;
  return context.skip(built);
}

const NODE = 1;

interface GroupOut {
  readonly group: number;
  readonly shard: number;
  readonly error: string | null;
}

class Rig {
  readonly client: Client;
  readonly #node: NodeProcess;
  constructor(node: NodeProcess) {
    this.#node = node;
    this.client = new Client(node.url);
  }
  async text(path: string): Promise<{ readonly status: number; readonly text: string }> {
    const response = await fetch(`${this.#node.url}${path}`);
    return { status: response.status, text: await response.text() };
  }
  async groups(): Promise<readonly GroupOut[]> {
    const { body } = await this.client.call("GET", "/status");
    return (body.result as { readonly groups: readonly GroupOut[] }).groups;
  }
  write(id: number): Promise<Answer> {
    return this.client.upsert("c", [{ id, vector: [id % 97, 1, 2, 3], payload: { id } }]);
  }
  /** Writes single points from `first` on, so that both shards get some; answers each one's fate. */
  async writes(first: number, count: number): Promise<ReadonlyMap<number, Answer>> {
    const fates = new Map<number, Answer>();
    for (let id = first; id < first + count; id++) fates.set(id, await this.write(id));
    return fates;
  }
}

const acknowledged = (fates: ReadonlyMap<number, Answer>): readonly number[] =>
  [...fates].filter(([, { status }]) => status === 200).map(([id]) => id);

const errorOf = ({ body }: Answer): { readonly code: string; readonly error: string } =>
  body.status as { readonly code: string; readonly error: string };

test(
  "a shard whose point store cannot be written stops alone and visibly, loses nothing, and comes back",
  { timeout: 60_000 },
  async (context) => {
    const libc = libcOf(context);
    using directory = temporaryDirectory();
    const options = { dataDir: directory.path, env: libc.env(NODE) };
    const held: number[] = [];
    {
      await using node = await NodeProcess.start(options);
      const rig = new Rig(node);
      await rig.client.create("c", { size: 4, shards: 2 });
      held.push(...acknowledged(await rig.writes(1, 40)));
      expect(held).toHaveLength(40);
      const [victim] = (await rig.groups()).filter(({ shard }) => shard === 0);
      if (victim === undefined) throw new Error("shard 0 is on this node");
      expect((await rig.text("/readyz")).status).toBe(200);

      libc.set(NODE, `full\nin /shards/${victim.group}/`);
      const fates = new Map<number, Answer>();
      const write = async (count: number): Promise<void> => {
        for (const [id, fate] of await rig.writes(1_000 + fates.size, count)) fates.set(id, fate);
      };
      // Until its store commits, the shard still takes writes: they are in the log.
      do await write(20);
      while ([...fates.values()].every(({ status }) => status === 200));
      await write(40);
      const good = acknowledged(fates);
      held.push(...good);
      const failures = [...fates.values()].filter(({ status }) => status !== 200).map(errorOf);
      // The other shard took its part; a write that was in the log when this one's store failed has no known outcome.
      expect(good.length).toBeGreaterThan(10);
      expect(failures.length).toBeGreaterThan(10);
      expect(["OUTCOME_UNKNOWN", "OUT_OF_SPACE"]).toContain(failures[0]?.code);
      expect(new Set(failures.slice(1).map(({ code }) => code))).toEqual(new Set(["OUT_OF_SPACE"]));
      const refused = [...fates.values()].filter(({ status }) => status === 507).length;
      expect(refused).toBeGreaterThanOrEqual(failures.length - 1);

      const stopped = (await rig.groups()).filter(({ error }) => error !== null);
      expect(stopped.map(({ shard }) => shard)).toEqual([0]);
      const readiness = await rig.text("/readyz");
      expect(readiness.status).toBe(503);
      expect(readiness.text).toMatch(/shard 0 of collection c stopped: .*full/);
      const { text: metrics } = await rig.text("/metrics");
      expect(metrics).toMatch(/^flotilla_group_stopped\{collection="c",shard="0"\} 1$/m);
      expect(metrics).toMatch(/^flotilla_group_stopped\{collection="c",shard="1"\} 0$/m);
      expect(node.stderr.match(/"msg":"group stopped"|group stopped/g)).toHaveLength(1);

      // While the disk fails, an attempt to open it again fails and says so; the other shard is none the worse.
      const restart = "/collections/c/shards/0/restart";
      const early = await rig.client.call("POST", restart, {});
      expect([early.status, errorOf(early).code]).toEqual([503, "SHARD_FAILED"]);
      expect((await rig.text("/readyz")).status).toBe(503);
      held.push(...acknowledged(await rig.writes(3_000, 20)));

      // It works again: so does the shard, without the node's end; one that runs well is opened again as well.
      libc.set(NODE, "");
      for (let times = 0; times < 2; times++) {
        // The library looks at what is to fail every 20 ms.
        await expect.poll(async () => (await rig.client.call("POST", restart, {})).status).toBe(200);
        expect(await rig.text("/readyz")).toEqual({ status: 200, text: "all shards are ready\n" });
        const again = acknowledged(await rig.writes(4_000 + 100 * times, 20));
        expect(again).toHaveLength(20);
        held.push(...again);
      }
      const now = await rig.client.all("c");
      expect(held.filter((id) => !now.has(id))).toEqual([]);
      expect((await rig.text("/metrics")).text).toMatch(/^flotilla_group_stopped\{.*shard="0"\} 0$/m);
      expect(await node.stop()).toMatchObject({ code: 0 });
    }
    await using node = await NodeProcess.start(options);
    const rig = new Rig(node);
    const found = await rig.client.all("c");
    expect(held.filter((id) => !found.has(id))).toEqual([]);
    expect(acknowledged(await rig.writes(5_000, 20))).toHaveLength(20);
    expect((await rig.text("/readyz")).status).toBe(200);
  },
);
