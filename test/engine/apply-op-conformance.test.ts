import { onTestFinished } from "vitest";
import { EngineApplyOp } from "../../src/engine/apply-op.ts";
import { encodeEntry } from "../../src/engine/ops-codec.ts";
import type { ShardEngine } from "../../src/engine/shard-engine.ts";
import type { PointWrite, WriteOutcome } from "../../src/engine/types.ts";
import { applyOpConformance } from "../shards/apply-op-conformance.ts";
import { openEngine, SPEC, temporaryDirectory } from "./support.ts";

interface Shard {
  readonly directory: string;
  readonly engine: ShardEngine;
}
const shards = new WeakMap<EngineApplyOp, Shard>();

async function open(directory: string): Promise<EngineApplyOp> {
  const engine = await openEngine(directory);
  const machine = new EngineApplyOp(engine);
  shards.set(machine, { directory, engine });
  onTestFinished(async () => await engine.close());
  return machine;
}
function shardOf(machine: EngineApplyOp): Shard {
  const shard = shards.get(machine);
  if (shard === undefined) throw new Error("the machine was not opened here");
  return shard;
}

const entry = (
  points: readonly PointWrite[],
  { origin, sequence }: { readonly origin: string; readonly sequence: number } = { origin: "", sequence: 0 },
): Uint8Array => encodeEntry({ origin, sequence, operations: [{ kind: "upsert", points }] });

const vectorOf = (n: number, dimension = SPEC.dimension): Float32Array =>
  Float32Array.from({ length: dimension }, (_, at) => n + at / 4);

const whole = entry([{ id: 1, vector: vectorOf(1), payload: { a: 1 } }]);

applyOpConformance<EngineApplyOp>({
  name: "engine",
  open: async () => {
    const directory = temporaryDirectory();
    onTestFinished(() => directory[Symbol.dispose]());
    return await open(directory.path);
  },
  reopen: async (machine) => {
    const { directory, engine } = shardOf(machine);
    await engine.close();
    return await open(directory);
  },
  write: (n, key) => entry([{ id: n % 4, vector: vectorOf(n), payload: { n } }], key),
  poison: [
    Uint8Array.of(0),
    new TextEncoder().encode("neither an entry nor anything like it"),
    whole.slice(0, -1),
    Uint8Array.of(...whole, 0),
    entry([{ id: 1, vector: vectorOf(1, SPEC.dimension + 1), payload: null }]),
    entry([{ id: 1, vector: vectorOf(1).fill(Number.NaN), payload: null }]),
  ],
  isRejected: (result) => (result as WriteOutcome | null)?.kind === "rejected",
  versionOf: (result) => {
    const outcome = result as WriteOutcome | null;
    return outcome?.kind === "applied" ? outcome.version : 0;
  },
  hashOf: (machine) => shardOf(machine).engine.stats().stateHash,
});
