import type { GroupLog } from "./ports.ts";
import { confChange, decodeConfChange } from "./raft/conf-change.ts";
import type { ConfChange } from "./raft/conf-change.ts";
import { invariant } from "./raft/invariant.ts";
import { changeConf } from "./raft/membership.ts";
import { LogIndex } from "./raft/types.ts";
import type { ConfState, Entry } from "./raft/types.ts";
import type { MembershipStep } from "./surface.ts";

/** Which configuration held at each index since the log's beginning: a boundary or snapshot carries its own. */
export class MembershipHistory {
  #steps: { readonly from: LogIndex; readonly conf: ConfState }[];

  constructor(from: LogIndex, conf: ConfState) {
    this.#steps = [{ from, conf }];
  }

  get latest(): ConfState {
    const last = this.#steps.at(-1);
    invariant(last !== undefined, "a group always has a configuration");
    return last.conf;
  }

  /** The change in this entry and what it leads to; null when it does not fit, which every member sees alike. */
  apply(entry: Entry): { readonly change: ConfChange; readonly conf: ConfState } | null {
    const change = decodeConfChange(entry);
    const result = change === null ? null : changeConf(this.latest, change);
    if (change === null || result?.kind !== "changed") return null;
    this.#steps.push({ from: entry.index, conf: result.conf });
    return { change, conf: result.conf };
  }

  /** A snapshot brought its own configuration. */
  restart(index: LogIndex, conf: ConfState): void {
    this.#steps = [{ from: index, conf }];
  }

  /** False below where it begins: a snapshot took the place of what was there. */
  reaches(index: LogIndex): boolean {
    const [first] = this.#steps;
    return first !== undefined && first.from <= index;
  }

  at(index: LogIndex): ConfState {
    const step = this.#steps.findLast((candidate) => candidate.from <= index);
    invariant(step !== undefined, () => `the configuration at ${index} is known`);
    return step.conf;
  }

  /** Nothing below `index` is asked for any more. */
  forgetBefore(index: LogIndex): void {
    const keep = this.#steps.findLastIndex((step) => step.from <= index);
    if (keep > 0) this.#steps = this.#steps.slice(keep);
  }
}

/** As the log tells it, from its boundary up to `applied`. */
export function membershipOf(log: GroupLog, applied: LogIndex): MembershipHistory {
  const { index, conf } = log.boundary();
  const history = new MembershipHistory(index, conf);
  for (const entry of log.membershipEntries(log.firstIndex(), LogIndex(applied + 1))) history.apply(entry);
  return history;
}

export function changeOf(steps: readonly MembershipStep[]): ConfChange {
  return confChange(steps);
}

/** Between two configurations, deciding by the majorities of both. */
export function isJoint(conf: ConfState): boolean {
  return conf.votersOutgoing.length > 0;
}

/** True when this member alone decides. */
export function decidesAlone(conf: ConfState, node: number): boolean {
  return conf.voters.length === 1 && conf.voters[0] === node && !isJoint(conf);
}
