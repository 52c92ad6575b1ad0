/** Three cores of one group joined by function calls, over logs in memory: what the core itself costs. */
import { LogIndex, NodeId, NOBODY, Term } from "../../shards/raft/types.ts";
import { RaftCore } from "../../shards/raft/core.ts";
import type { ConfState, Entry, HardState, SnapshotMeta } from "../../shards/raft/types.ts";
import type { LogView } from "../../shards/raft/log-view.ts";
import type { Message } from "../../shards/raft/message.ts";
import type { Persist } from "../../shards/raft/ready.ts";

/** Keeps this many entries at least, so that a long run does not measure the memory it fills. */
const KEPT = 16_384;

/** Entries in an array whose beginning is cut off now and then. */
class ArrayLog implements LogView {
  readonly #conf: ConfState;
  #entries: Entry[] = [];
  #boundary = 0;
  #boundaryTerm = Term(0);
  #hardState: HardState = { term: Term(0), vote: NOBODY, commit: LogIndex(0) };

  constructor(conf: ConfState) {
    this.#conf = conf;
  }
  initialState() {
    return { hardState: this.#hardState, conf: this.#conf };
  }
  firstIndex(): LogIndex {
    return (this.#boundary + 1) as LogIndex;
  }
  lastIndex(): LogIndex {
    return (this.#boundary + this.#entries.length) as LogIndex;
  }
  term(index: LogIndex): Term | "compacted" | "unavailable" {
    if (index === this.#boundary) return this.#boundaryTerm;
    if (index < this.#boundary) return "compacted";
    return this.#entries[index - this.#boundary - 1]?.term ?? "unavailable";
  }
  entries(low: LogIndex, high: LogIndex): readonly Entry[] | "compacted" | "unavailable" {
    if (low <= this.#boundary) return "compacted";
    return this.#entries.slice(low - this.#boundary - 1, high - this.#boundary - 1);
  }
  membershipEntries(): readonly Entry[] {
    return [];
  }
  snapshot(): SnapshotMeta {
    return { index: LogIndex(this.#boundary), term: this.#boundaryTerm, conf: this.#conf };
  }
  write({ entries, hardState }: Persist): void {
    const first = entries[0];
    if (first !== undefined) {
      this.#entries.length = first.index - this.#boundary - 1;
      for (const entry of entries) this.#entries.push(entry);
    }
    if (hardState !== null) this.#hardState = hardState;
    if (this.#entries.length > 2 * KEPT) {
      const drop = this.#entries.length - KEPT;
      this.#boundaryTerm = this.#entries[drop - 1]?.term ?? this.#boundaryTerm;
      this.#entries = this.#entries.slice(drop);
      this.#boundary += drop;
    }
  }
}

interface Member {
  readonly core: RaftCore;
  readonly log: ArrayLog;
}

export class CoreTrio {
  readonly #members: readonly Member[];
  readonly #mail: Message[] = [];
  /** Entries the leader's state machine was given. */
  applied = 0;

  constructor(seed: number) {
    const voters = [1, 2, 3].map(NodeId);
    const conf: ConfState = { voters, votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false };
    let state = seed;
    const random = (bound: number): number => (state = (state * 48_271) % 2_147_483_647) % bound;
    this.#members = voters.map((id) => {
      const log = new ArrayLog(conf);
      const core = new RaftCore({ id, electionTicks: 10, heartbeatTicks: 1, random }, log);
      return { core, log };
    });
    this.leader.campaign();
    this.run();
    if (!this.leader.isLeader) throw new Error("member 1 was not elected");
    this.applied = 0;
  }

  get leader(): RaftCore {
    return (this.#members[0] as Member).core;
  }

  tick(member: number): void {
    (this.#members[member] as Member).core.tick();
  }

  /** Until nobody has anything to do. */
  run(): void {
    for (let busy = true; busy;) {
      busy = false;
      for (let at = 0; at < 3; at++) {
        const { core, log } = this.#members[at] as Member;
        if (!core.hasReady()) continue;
        busy = true;
        this.#work(core, log, at === 0);
      }
      for (let at = 0; at < this.#mail.length; at++) {
        const message = this.#mail[at] as Message;
        (this.#members[message.to - 1] as Member).core.step(message);
      }
      this.#mail.length = 0;
    }
  }

  #work(core: RaftCore, log: ArrayLog, counts: boolean): void {
    const { send, persist, thenSend, thenApply } = core.ready();
    for (const message of send) this.#mail.push(message);
    if (persist !== null) {
      log.write(persist);
      core.persisted(persist.receipt);
    }
    for (const message of thenSend) this.#mail.push(message);
    const last = thenApply[thenApply.length - 1];
    if (last === undefined) return;
    core.applied(last.index);
    if (counts) this.applied += thenApply.length;
  }
}
