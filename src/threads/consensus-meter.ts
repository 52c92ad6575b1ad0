import type { PeerEvent } from "../../shards/adapters.ts";
import type { ShardEvent } from "../../shards/index.ts";
import type { ConsensusSamples } from "./contracts.ts";

/** How often what was measured goes to the front. */
const SEND_EVERY_MS = 500;

type Mutable<T> = { -readonly [K in keyof T]: T[K] extends readonly number[] ? number[] : T[K] };

/** Gathers the replication layer's numbers between two sends: one message, however many entries there were. */
export class ConsensusMeter implements Disposable {
  readonly #send: (samples: ConsensusSamples) => void;
  readonly #timer: NodeJS.Timeout;
  #samples = empty();
  readonly #snapshots = new Map<string, ConsensusSamples["snapshots"][number]>();

  constructor(send: (samples: ConsensusSamples) => void) {
    this.#send = send;
    this.#timer = setInterval(() => this.flush(), SEND_EVERY_MS);
    this.#timer.unref();
  }

  event(event: ShardEvent): void {
    const now = this.#samples;
    switch (event.kind) {
      case "turn":
        now.turnMs.push(event.durationMs);
        if (event.lateMs > 0) now.lateMs.push(event.lateMs);
        now.queued = Math.max(now.queued, event.queued);
        return;
      case "logWritten":
        now.logWriteMs.push(event.durationMs);
        now.entries += event.entries;
        now.bytes += event.bytes;
        return;
      case "committed":
        now.commitMs.push(event.ms);
        return;
      case "applied":
        now.applyMs.push(event.durationMs);
        now.lagEntries = Math.max(now.lagEntries, event.lagEntries);
        now.lagBytes = Math.max(now.lagBytes, event.lagBytes);
        return;
      case "compacted":
        now.compactions++;
        return;
      case "messageRefused":
        this.#dropped(event.why, 1);
        return;
      case "core":
        if (event.event.kind === "roleChanged" && event.event.role === "candidate") now.elections++;
        return;
      case "proposalEnded":
        now.proposals = { ...now.proposals, [event.outcome]: (now.proposals[event.outcome] ?? 0) + 1 };
        return;
      default:
        // The rest is told as it happens: log lines and changes of groups.
        return;
    }
  }

  peer(event: PeerEvent): void {
    if (event.kind === "messagesDropped") this.#dropped(event.why, event.count);
    else if (event.kind === "refusedPeer") this.#dropped(`stranger-${event.why}`, 1);
    else if (event.kind === "badFrame") this.#dropped("badFrame", 1);
    else if (event.kind === "snapshotProgress") {
      const { group, direction, bytes, total } = event;
      this.#snapshots.set(`${group} ${direction}`, { group, direction, bytes, total });
    }
  }

  #dropped(why: string, count: number): void {
    const now = this.#samples;
    now.dropped = { ...now.dropped, [why]: (now.dropped[why] ?? 0) + count };
  }

  flush(): void {
    const samples = this.#samples;
    this.#samples = empty();
    const snapshots = [...this.#snapshots.values()];
    this.#snapshots.clear();
    this.#send({ ...samples, snapshots });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.flush();
  }
}

function empty(): Mutable<ConsensusSamples> {
  return {
    logWriteMs: [],
    commitMs: [],
    applyMs: [],
    lateMs: [],
    turnMs: [],
    entries: 0,
    bytes: 0,
    compactions: 0,
    queued: 0,
    lagEntries: 0,
    lagBytes: 0,
    elections: 0,
    proposals: {},
    dropped: {},
    snapshots: [],
  };
}
