import { decodeConfChange, isConfChange } from "../../../../shards/raft/conf-change.ts";
import { LogIndex, NodeId, Term } from "../../../../shards/raft/types.ts";
import { MemoryLog } from "./memory-log.ts";
import { RaftCore } from "../../../../shards/raft/core.ts";
import type { ConfState, Entry } from "../../../../shards/raft/types.ts";
import type { ConfirmedRead, Ready } from "../../../../shards/raft/ready.ts";
import type { CoreEvent } from "../../../../shards/raft/events.ts";
import type { CoreOptions } from "../../../../shards/raft/options.ts";
import type { Message } from "../../../../shards/raft/message.ts";

export type TestOptions = Partial<Omit<CoreOptions, "id" | "random">>;

/** One member with its disk, its state machine (the list of what was applied) and everything it ever said. */
export class Member {
  readonly id: NodeId;
  readonly log: MemoryLog;
  readonly #options: TestOptions;
  readonly #random: (bound: number) => number;
  core: RaftCore;
  applied: Entry[] = [];
  appliedIndex: LogIndex;
  conf: ConfState;
  reads: ConfirmedRead[] = [];
  events: CoreEvent[] = [];
  sent: Message[] = [];
  /** Readies whose writes are not durable yet; `flush` makes them so. */
  pending: Ready[] = [];
  /** Holds writes back until `flush` is called. */
  slowDisk = false;

  constructor(id: number, log: MemoryLog, options: TestOptions = {}, random?: (bound: number) => number) {
    this.id = NodeId(id);
    this.log = log;
    this.#options = options;
    // Each its own timeout: 10, 13, 16, 19, 12 ticks for members 1 to 5.
    this.#random = random ?? ((bound) => ((id - 1) * 3) % bound);
    this.conf = log.initialState().conf;
    this.appliedIndex = LogIndex(log.firstIndex() - 1);
    this.core = this.#start();
  }

  #start(): RaftCore {
    return new RaftCore(
      {
        id: this.id,
        electionTicks: 10,
        heartbeatTicks: 1,
        random: this.#random,
        ...this.#options,
        applied: this.appliedIndex,
      },
      this.log,
    );
  }

  /** What was not durable is gone, the state machine's state with it is kept as a durable one's would be. */
  restart(): void {
    this.pending = [];
    this.core = this.#start();
    this.conf = this.core.status().conf;
  }

  /** Takes all work; returns the messages that may leave. */
  work(): Message[] {
    const out: Message[] = [];
    while (this.core.hasReady()) {
      const ready = this.core.ready();
      this.events.push(...ready.events);
      this.reads.push(...ready.reads);
      out.push(...ready.send);
      this.pending.push(ready);
      if (!this.slowDisk) out.push(...this.flush());
    }
    this.sent.push(...out);
    return out;
  }

  /** Everything handed out so far becomes durable, in order. */
  flush(count = Infinity): Message[] {
    const out: Message[] = [];
    for (let done = 0; done < count; done++) {
      const ready = this.pending.shift();
      if (ready === undefined) break;
      if (ready.persist !== null) {
        this.log.write(ready.persist);
        if (ready.persist.snapshot !== null) {
          this.applied = [];
          this.appliedIndex = ready.persist.snapshot.index;
          this.conf = ready.persist.snapshot.conf;
        }
        this.core.persisted(ready.persist.receipt);
      }
      out.push(...ready.thenSend);
      for (const entry of ready.thenApply) {
        if (isConfChange(entry.kind))
          this.conf = this.core.applyConfChange(decodeConfChange(entry), entry.index);
        this.applied.push(entry);
        this.appliedIndex = entry.index;
      }
      if (ready.thenApply.length > 0) this.core.applied(this.appliedIndex);
    }
    return out;
  }

  /** The data of what was applied, without no-ops and membership changes. */
  commands(): string[] {
    return this.applied
      .filter((entry) => entry.kind === "normal" && entry.data.length > 0)
      .map((entry) => text(entry.data));
  }
}

/** Members joined by a network in which every message arrives at once, unless `cut` says otherwise. */
export class Cluster {
  readonly members: Map<NodeId, Member>;
  /** True: this message is lost. */
  cut: (message: Message) => boolean = () => false;
  inFlight: Message[] = [];
  /** Every message that was delivered. */
  delivered: Message[] = [];

  constructor(members: readonly Member[]) {
    this.members = new Map(members.map((member) => [member.id, member]));
  }

  member(id: number): Member {
    const member = this.members.get(NodeId(id));
    if (member === undefined) throw new Error(`no member ${id}`);
    return member;
  }

  core(id: number): RaftCore {
    return this.member(id).core;
  }

  /** Until nobody has anything to do or to say. */
  settle(): void {
    for (let round = 0; round < 10_000; round++) {
      for (const member of this.members.values()) this.inFlight.push(...member.work());
      const messages = this.inFlight;
      this.inFlight = [];
      if (messages.length === 0) return;
      for (const message of messages) {
        if (this.cut(message)) continue;
        this.delivered.push(message);
        this.members.get(message.to)?.core.step(message);
      }
    }
    throw new Error("the cluster does not come to rest");
  }

  tick(times = 1): void {
    for (let i = 0; i < times; i++) {
      for (const member of this.members.values()) member.core.tick();
      this.settle();
    }
  }

  elect(id: number): this {
    this.core(id).campaign();
    this.settle();
    if (!this.core(id).isLeader) throw new Error(`member ${id} was not elected`);
    return this;
  }

  isolate(...ids: number[]): void {
    this.cut = (message) => ids.includes(message.from) !== ids.includes(message.to);
  }

  leaders(): number[] {
    return [...this.members.values()].filter((member) => member.core.isLeader).map((member) => member.id);
  }
}

export function conf(voters: readonly number[], learners: readonly number[] = []): ConfState {
  return {
    voters: voters.map(NodeId),
    votersOutgoing: [],
    learners: learners.map(NodeId),
    learnersNext: [],
    autoLeave: false,
  };
}

/** Members 1 to `size`, all voters, with an empty log whose boundary is index 0. */
export function cluster(size: number, options: TestOptions = {}, learners: readonly number[] = []): Cluster {
  const ids = Array.from({ length: size }, (_, at) => at + 1);
  const voters = ids.filter((id) => !learners.includes(id));
  return new Cluster(
    ids.map((id) => new Member(id, new MemoryLog({ conf: conf(voters, learners) }), options)),
  );
}

export function bytes(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function text(data: Uint8Array): string {
  return new TextDecoder().decode(data);
}

export function entry(term: number, index: number, data = ""): Entry {
  return { term: Term(term), index: LogIndex(index), kind: "normal", data: bytes(data) };
}

/** A message with the brands put on, for tests that write one by hand. */
export function message<K extends Message["kind"]>(
  kind: K,
  envelope: { readonly from: number; readonly to: number; readonly term: number },
  body: Omit<Message & { kind: K }, "kind" | "from" | "to" | "term">,
): Message {
  const { from, to, term } = envelope;
  return { kind, from: NodeId(from), to: NodeId(to), term: Term(term), ...body } as Message;
}
