import { createHash } from "node:crypto";
import { LogIndex, NodeId, Term, GroupId } from "../../../shards/index.ts";
import type { CapturedSnapshot, GroupMessage } from "../../../shards/index.ts";

/** Bytes that differ everywhere, the same on each run. */
export function body(length: number, seed = 1): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => (state = (state * 1_103_515_245 + 12_345) & 0x7fffffff) >>> 16);
}

export function captured(files: Readonly<Record<string, Uint8Array>>, index = 9): CapturedSnapshot {
  return {
    index: LogIndex(index),
    files: Object.entries(files).map(([name, data]) => ({
      name,
      bytes: data.length,
      sha256: createHash("sha256").update(data).digest("hex"),
    })),
    read: async (name, offset, length) =>
      (files[name] ?? new Uint8Array(0)).subarray(offset, offset + length),
    [Symbol.asyncDispose]: async () => undefined,
  };
}

export function announce(group = 3, index = 9): GroupMessage {
  const conf = {
    voters: [NodeId(1), NodeId(2)],
    votersOutgoing: [],
    learners: [NodeId(5)],
    learnersNext: [],
    autoLeave: false,
  };
  const meta = { index: LogIndex(index), term: Term(4), conf };
  return {
    group: GroupId(group),
    message: { kind: "snapshot", from: NodeId(1), to: NodeId(2), term: Term(4), meta },
  };
}
