/** A process that applies a known log for ever, saving and rebuilding all the time, until it is killed. */
import { pathToFileURL } from "node:url";
import type { EngineEntry } from "../../src/engine/surface.ts";
import type { WriteOp } from "../../src/engine/types.ts";
import { SPEC, openEngine } from "./support.ts";
import { encodeEntry } from "../../src/engine/ops-codec.ts";

/** The entry at an index is a function of the index alone, so that the parent can replay the log. */
export function entryAt(index: number): EngineEntry {
  let state = index;
  const below = (bound: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 1;
    return state % bound;
  };
  const id = (): number => below(300);
  const vector = (): Float32Array => Float32Array.from({ length: SPEC.dimension }, () => below(1_000) / 100);
  const points = Array.from({ length: 10 }, () => ({ id: id(), vector: vector(), payload: { index } }));
  const operations: WriteOp[] = [
    { kind: "upsert", points },
    { kind: "delete", ids: [id(), id()] },
    { kind: "setPayload", ids: [id()], payload: { more: index } },
  ];
  return { index, data: encodeEntry({ origin: "child", sequence: index, operations }) };
}

export const CHILD_OPTIONS = {
  tailPointsMax: 60,
  rebuildMin: 20,
  saveChangesMin: 30,
  saveShare: 0,
  saveIdleMs: 1,
};

const started = process.argv[1];
if (started !== undefined && import.meta.url === pathToFileURL(started).href) {
  const engine = await openEngine(process.argv[2] ?? "", {
    options: CHILD_OPTIONS,
    events: ({ kind }) => process.stdout.write(`${kind}\n`),
  });
  for (;;) {
    const index = engine.appliedIndex() + 1;
    await engine.applyEntries([entryAt(index)]);
    process.stdout.write(`applied ${index}\n`);
    if (index % 10 === 0) process.stdout.write(`durable ${await engine.checkpoint()}\n`);
  }
}
