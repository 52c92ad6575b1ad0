/**
 * What the nodes' answers say of each group: who leads it, who holds it open, and whose content is not the others' at
 * an index that they all passed. Replicas apply the same entries, so a difference means that one of them was damaged.
 */
import type { GroupView } from "../catalog/plan-types.ts";
import type { GroupReport, ReplyOf } from "./node-calls/contract.ts";

/** What one node says it holds. */
export type NodeGroups = ReplyOf<"groups">;

/** How the reason begins for which a replica serves nobody, when it is this one. */
export const DIVERGED = "diverged: ";

/** A replica that holds something else than the others. */
export interface Divergence {
  readonly group: number;
  readonly node: number;
  /** An index at which its content was another. */
  readonly index: number;
  readonly stateHash: string;
  /** What the others hold there. */
  readonly expected: string;
  /** It was not taken out of service yet. */
  readonly isServing: boolean;
}

interface Told {
  readonly node: number;
  readonly report: GroupReport;
}

/** Each group as its leader of the highest term tells it, who holds it open, and who holds something else. */
export function groupViews(answers: ReadonlyMap<number, NodeGroups>): ReadonlyMap<number, GroupView> {
  return new Map([...byGroup(answers)].map(([group, told]) => [group, viewOf(group, told)]));
}

/** Of all groups that somebody leads. */
export function divergences(answers: ReadonlyMap<number, NodeGroups>): readonly Divergence[] {
  return [...byGroup(answers)].flatMap(([group, told]) => divergencesOf(group, told));
}

function byGroup(answers: ReadonlyMap<number, NodeGroups>): ReadonlyMap<number, readonly Told[]> {
  const reports = new Map<number, Told[]>();
  for (const [node, { groups }] of answers) {
    for (const report of groups) {
      const told = reports.get(report.group) ?? [];
      reports.set(report.group, told);
      told.push({ node, report });
    }
  }
  return reports;
}

function viewOf(group: number, told: readonly Told[]): GroupView {
  const open = told.filter(takesPart).filter(isServing);
  const lead = leaderOf(told);
  const status = lead?.report.status ?? null;
  if (lead === null || status === null)
    return {
      ...{ group, leader: null, term: 0, commit: 0, conf: null, peers: [], diverged: [] },
      open: open.map(({ node }) => node),
    };
  const { conf } = status;
  return {
    group,
    leader: lead.node,
    term: status.term,
    commit: status.commit,
    conf: { voters: conf.voters, learners: conf.learners, joint: conf.votersOutgoing.length > 0 },
    peers: status.peers.map(({ node, match, state, recentlyActive }) => ({
      node,
      match,
      state,
      active: recentlyActive,
    })),
    open: open.map(({ node }) => node),
    // One that was taken out stays so, though the others' marks may have moved on.
    diverged: [
      ...new Set([
        ...divergencesOf(group, told).map(({ node }) => node),
        ...told.filter((one) => !isServing(one)).map(({ node }) => node),
      ]),
    ],
  };
}

/** Its core runs; what it holds may be doubtful all the same. */
const takesPart = (one: Told): boolean =>
  one.report.status?.state === "running" && (one.report.error === null || !isServing(one));
const isServing = ({ report }: Told): boolean => report.error?.startsWith(DIVERGED) !== true;

function leaderOf(told: readonly Told[]): Told | null {
  const leaders = told.filter(takesPart).filter(({ report }) => report.status?.role === "leader");
  leaders.sort((a, b) => (b.report.status?.term ?? 0) - (a.report.status?.term ?? 0));
  return leaders[0] ?? null;
}

/**
 * The leader's word counts, unless more replicas hold the same other thing: then it is the leader that was damaged. So
 * two are not compared where a third one, which would tell, has not got to: a good one would go by a damaged leader's
 * word. What one that was found out, or taken out of service, says is no better for its leading.
 */
function divergencesOf(group: number, told: readonly Told[]): readonly Divergence[] {
  const lead = leaderOf(told);
  if (lead === null) return [];
  const found = new Map<number, Divergence>();
  const replicas = told.filter(takesPart).map((one) => ({ ...one, marks: hashesOf(one.report.engine) }));
  const serving = new Set(told.filter(isServing).map(({ node }) => node));
  const isHeard = (node: number): boolean => serving.has(node);
  const leads = (nodes: readonly number[]): boolean => nodes.includes(lead.node) && isHeard(lead.node);
  const telling = replicas.filter(
    ({ node, report, marks }) => isHeard(node) && marks.size > 0 && report.status?.learner === false,
  );
  for (const index of indexesOf(replicas, Math.min(ENOUGH_TO_TELL, telling.length))) {
    const holders = new Map<string, number[]>();
    for (const { node, marks } of replicas) {
      const hash = marks.get(index);
      if (hash !== undefined && !found.has(node)) holders.set(hash, [...(holders.get(hash) ?? []), node]);
    }
    if (holders.size < 2) continue;
    const weight = (nodes: readonly number[]): number =>
      nodes.length + (leads(nodes) ? 0.5 : 0) + (nodes.some(isHeard) ? 0.25 : 0);
    const [most, ...others] = [...holders].sort(([, a], [, b]) => weight(b) - weight(a));
    if (most === undefined) continue;
    // Without the leader two that differ do not say which of them is right, unless one was found out before.
    const [expected, nodes] = most;
    const isAlone = nodes.some(isHeard) && !others.some(([, other]) => other.some(isHeard));
    if (nodes.length < 2 && !leads(nodes) && !isAlone) continue;
    for (const { node, marks, report } of replicas) {
      const stateHash = marks.get(index);
      if (stateHash === undefined || stateHash === expected || found.has(node)) continue;
      found.set(node, { group, node, index, stateHash, expected, isServing: isServing({ node, report }) });
    }
  }
  return [...found.values()];
}

/** Of three replicas two agree, if one of them was damaged. */
const ENOUGH_TO_TELL = 3;

/** Where `least` replicas can be compared, the most first. */
function indexesOf(
  replicas: readonly { readonly marks: ReadonlyMap<number, string> }[],
  least: number,
): readonly number[] {
  const counts = new Map<number, number>();
  for (const { marks } of replicas)
    for (const index of marks.keys()) counts.set(index, (counts.get(index) ?? 0) + 1);
  return [...counts]
    .filter(([, count]) => count >= least)
    .sort(([a, some], [b, more]) => more - some || a - b)
    .map(([index]) => index);
}

/** By index: the marks that every replica takes note of, and where it is now. */
export function hashesOf(engine: GroupReport["engine"]): ReadonlyMap<number, string> {
  if (engine === null) return new Map();
  const marks = engine.hashMarks.map(({ index, stateHash }): [number, string] => [index, stateHash]);
  return new Map([...marks, [engine.appliedIndex, engine.stateHash]]);
}
