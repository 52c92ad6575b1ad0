/** Membership changes and how they lie in an entry. The layout is our own: fixed-width, big-endian, versioned. */
import { NodeId } from "./types.ts";
import type { Entry, EntryKind } from "./types.ts";

export type ConfChangeKind = "addVoter" | "addLearner" | "remove" | "update";

export interface ConfChangeStep {
  readonly kind: ConfChangeKind;
  readonly node: NodeId;
}

/**
 * `auto` is simple when it can be, joint with automatic leave otherwise; `implicit` is joint and left automatically;
 * `explicit` is joint until an empty change is proposed.
 */
export type ConfTransition = "auto" | "implicit" | "explicit";

export interface ConfChange {
  /** As the old, single-step kind of entry; only the kind of entry differs. */
  readonly entryKind: "confChange" | "confChangeV2";
  readonly transition: ConfTransition;
  /** Empty, with `auto`: leave the joint configuration. */
  readonly steps: readonly ConfChangeStep[];
  /** Opaque to consensus, handed back with the entry. */
  readonly context: Uint8Array;
}

/** Leaves a joint configuration. Encodes to no bytes, so that no limit on size can refuse it. */
export const LEAVE_JOINT: ConfChange = {
  entryKind: "confChangeV2",
  transition: "auto",
  steps: [],
  context: new Uint8Array(0),
};

/** At most this many steps in one change: what one byte of count holds. */
export const MAX_STEPS = 255;

export function confChange(
  steps: readonly ConfChangeStep[],
  options: { readonly transition?: ConfTransition; readonly context?: Uint8Array } = {},
): ConfChange {
  return {
    entryKind: "confChangeV2",
    transition: options.transition ?? "auto",
    steps,
    context: options.context ?? LEAVE_JOINT.context,
  };
}

export function wantsToLeave(change: ConfChange): boolean {
  return change.steps.length === 0 && change.transition === "auto";
}

/** How a change that does not leave is carried out. */
export function entersJoint(change: ConfChange): "no" | "leaveByItself" | "leaveWhenAsked" {
  if (change.transition === "auto" && change.steps.length <= 1) return "no";
  return change.transition === "explicit" ? "leaveWhenAsked" : "leaveByItself";
}

const FORMAT = 1;
const TRANSITIONS: readonly ConfTransition[] = ["auto", "implicit", "explicit"];
const KINDS: readonly ConfChangeKind[] = ["addVoter", "addLearner", "remove", "update"];
const HEADER_BYTES = 3;
const STEP_BYTES = 9;

/** Throws RangeError when there are more than {@link MAX_STEPS} steps. */
export function encodeConfChange(change: ConfChange): Uint8Array {
  if (wantsToLeave(change) && change.context.length === 0) return LEAVE_JOINT.context;
  if (change.steps.length > MAX_STEPS)
    throw new RangeError(`a membership change has at most ${MAX_STEPS} steps, not ${change.steps.length}`);
  const stepsEnd = HEADER_BYTES + change.steps.length * STEP_BYTES;
  const bytes = new Uint8Array(stepsEnd + change.context.length);
  const view = new DataView(bytes.buffer);
  bytes[0] = FORMAT;
  bytes[1] = TRANSITIONS.indexOf(change.transition);
  bytes[2] = change.steps.length;
  let at = HEADER_BYTES;
  for (const step of change.steps) {
    view.setUint8(at, KINDS.indexOf(step.kind));
    view.setUint32(at + 1, Math.floor(step.node / 2 ** 32));
    view.setUint32(at + 5, step.node % 2 ** 32);
    at += STEP_BYTES;
  }
  bytes.set(change.context, stepsEnd);
  return bytes;
}

export function isConfChange(kind: EntryKind): kind is "confChange" | "confChangeV2" {
  return kind !== "normal";
}

/** Null when the entry is no membership change, or none that this version can read. */
export function decodeConfChange(entry: Pick<Entry, "kind" | "data">): ConfChange | null {
  if (!isConfChange(entry.kind)) return null;
  const { data } = entry;
  if (data.length === 0) return { ...LEAVE_JOINT, entryKind: entry.kind };
  const count = data[2];
  const transition = TRANSITIONS[data[1] ?? -1];
  if (data[0] !== FORMAT || transition === undefined || count === undefined) return null;
  const stepsEnd = HEADER_BYTES + count * STEP_BYTES;
  if (data.length < stepsEnd) return null;
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const steps: ConfChangeStep[] = [];
  for (let at = HEADER_BYTES; at < stepsEnd; at += STEP_BYTES) {
    const kind = KINDS[view.getUint8(at)];
    const node = view.getUint32(at + 1) * 2 ** 32 + view.getUint32(at + 5);
    if (kind === undefined || !Number.isSafeInteger(node)) return null;
    steps.push({ kind, node: NodeId(node) });
  }
  return { entryKind: entry.kind, transition, steps, context: data.subarray(stepsEnd) };
}
