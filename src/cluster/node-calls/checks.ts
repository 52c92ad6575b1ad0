/** Is a request or a reply what its method takes or gives? The other node is authenticated, but may run another version. */
import { isPrincipal } from "../../auth/travelling.ts";
import type { NodeMethod, ReplyOf, RequestOf } from "./contract.ts";

type Fields = Readonly<Record<string, unknown>>;
type Check = (value: unknown) => boolean;

const isObject = (value: unknown): value is Fields => typeof value === "object" && value !== null;
const whole: Check = (value) => Number.isSafeInteger(value) && (value as number) >= 0;
const duration: Check = (value) => typeof value === "number" && value >= 0;
const text: Check = (value) => typeof value === "string";
const flag: Check = (value) => typeof value === "boolean";
const bytes: Check = (value) => value instanceof Uint8Array;
const floats: Check = (value) => value instanceof Float32Array;
const pointId: Check = (value) => whole(value) || text(value);
const orNull =
  (check: Check): Check =>
  (value) =>
    value === null || check(value);
const oneOf =
  (...words: readonly unknown[]): Check =>
  (value) =>
    words.includes(value);
const listOf =
  (check: Check): Check =>
  (value) =>
    Array.isArray(value) && value.every(check);
const shape =
  (fields: Readonly<Record<string, Check>>): Check =>
  (value) =>
    isObject(value) && Object.entries(fields).every(([name, check]) => check(value[name]));

const selector = (value: unknown): boolean =>
  isObject(value) &&
  (oneOf("none", "all")(value["kind"]) ||
    (oneOf("include", "exclude")(value["kind"]) && listOf(text)(value["keys"])));
const caller = orNull(isPrincipal);
const fresh = {
  group: whole,
  level: oneOf("eventual", "session", "leader", "linearizable"),
  atLeast: orNull(whole),
  caller,
};
const look = { withPayload: selector, withVector: flag };
const query = shape({
  ...look,
  vector: floats,
  limit: whole,
  offset: whole,
  ef: orNull(whole),
  exact: flag,
  scoreThreshold: (value) => value === null || typeof value === "number",
});
const step = shape({ kind: oneOf("addVoter", "addLearner", "remove"), node: whole });

const REQUESTS: Readonly<Record<NodeMethod, Check>> = {
  propose: shape({
    group: whole,
    data: bytes,
    wait: oneOf("applied", "committed"),
    timeoutMs: duration,
    caller,
    adds: flag,
  }),
  search: shape({ ...fresh, queries: listOf(query) }),
  retrieve: shape({ ...fresh, ...look, ids: listOf(pointId) }),
  scroll: shape({ ...fresh, ...look, from: orNull(pointId), limit: whole }),
  count: shape(fresh),
  readIndex: shape({ group: whole, timeoutMs: duration }),
  groups: isObject,
  changeMembership: shape({ group: whole, steps: listOf(step), timeoutMs: duration, caller }),
  transfer: shape({ group: whole, to: whole, timeoutMs: duration, caller }),
  restart: shape({ group: whole, caller }),
  withdraw: shape({ group: whole, why: text }),
  node: isObject,
};

const outcome: Check = (value) => {
  if (!isObject(value)) return false;
  switch (value["kind"]) {
    case "applied":
    case "committed":
    case "overwritten":
    case "unknown":
      return whole(value["term"]) && whole(value["index"]);
    case "ready":
      return whole(value["index"]);
    case "notLeader":
      return orNull(whole)(value["leader"]);
    case "dropped":
    case "stopped":
    case "refused":
      return text(value["why"]);
    case "done":
      return true;
    default:
      return false;
  }
};
const read =
  (answer: Check): Check =>
  (value) =>
    isObject(value) &&
    (value["kind"] === "answer"
      ? answer(value["answer"])
      : value["kind"] === "notLeader" && orNull(whole)(value["leader"]));
const point = shape({ id: pointId, version: whole });
const hit = shape({ id: pointId, version: whole, score: (value) => typeof value === "number" });
const report = shape({
  group: whole,
  status: orNull(
    shape({ group: whole, node: whole, state: text, role: text, term: whole, commit: whole, applied: whole }),
  ),
  engine: orNull(shape({ points: whole, stateHash: text, appliedIndex: whole })),
  error: orNull(text),
});

const REPLIES: Readonly<Record<NodeMethod, Check>> = {
  propose: outcome,
  search: read(listOf(listOf(hit))),
  retrieve: read(listOf(point)),
  scroll: read(shape({ points: listOf(point), next: orNull(pointId) })),
  count: read(whole),
  readIndex: outcome,
  groups: shape({ node: whole, groups: listOf(report) }),
  changeMembership: outcome,
  transfer: outcome,
  restart: outcome,
  withdraw: outcome,
  node: shape({ nodeId: whole, version: text, ready: flag }),
};

export function isMethod(method: string): method is NodeMethod {
  return Object.hasOwn(REQUESTS, method);
}
export function isRequest<M extends NodeMethod>(method: M, value: unknown): value is RequestOf<M> {
  return REQUESTS[method](value);
}
export function isReply<M extends NodeMethod>(method: M, value: unknown): value is ReplyOf<M> {
  return REPLIES[method](value);
}
