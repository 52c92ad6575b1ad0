/** The world of etcd's interaction tests: nodes, messages on their way, and a page that everything is written on. */
import { describeEntry, describeHardState, describeSnapshot, describeWire, wireOf } from "./describe.ts";
import { EtcdNode, type NodeOptions, type Parcel, type StorageWork } from "./node.ts";
import { ROLE_NAMES } from "./names.ts";
import type { Entry, SnapshotMeta } from "../../../shards/raft/types.ts";
import type { Message } from "../../../shards/raft/message.ts";
import type { Ready } from "../../../shards/raft/ready.ts";

export interface Recipient {
  readonly id: number;
  readonly drop: boolean;
}

export class Environment {
  readonly nodes: EtcdNode[] = [];
  #inFlight: Parcel[] = [];
  #page: string[] = [];
  #indent = "";

  /** What was written since the last call. */
  takePage(): string {
    const page = this.#page.join("\n");
    this.#page = [];
    return page;
  }

  write(text: string): void {
    for (const line of text.split("\n")) this.#page.push(this.#indent + line);
  }

  indented(act: () => void): void {
    const before = this.#indent;
    this.#indent += "  ";
    act();
    this.#indent = before;
  }

  node(id: number): EtcdNode {
    const node = this.nodes[id - 1];
    if (node === undefined) throw new Error(`no node ${id}`);
    return node;
  }

  addNode(boundary: SnapshotMeta | null, options: NodeOptions): void {
    this.nodes.push(new EtcdNode(this.nodes.length + 1, boundary, options));
  }

  /** The process dies: what it had not written, and what was on its way to it, is lost. */
  crash(node: EtcdNode): void {
    this.#inFlight = this.#inFlight.filter((parcel) => parcel.wire.to !== node.id);
    node.restart();
  }

  sendSnapshot(from: EtcdNode, to: number): void {
    const { term } = from.core.status();
    const message = { kind: "snapshot", from: from.id, to, term, meta: from.newestSnapshot } as Message;
    this.#send(message);
    this.write(describeWire(wireOf(message)));
  }

  processReady(node: EtcdNode): void {
    const { leader, role } = node.core.status();
    const ready = node.core.ready();
    const local = node.isAsync ? storageWork(node, ready) : null;
    const messages = [...ready.send, ...(local === null ? ready.thenSend : [])].map(wireOf);
    const work = local === null ? [] : [...local.append, ...local.apply].map((each) => each.wire);
    this.write(describeReady(node, ready, { leader, role }, [...messages, ...work]));
    node.told = { leader, role, hardState: ready.persist?.hardState ?? node.told.hardState };
    if (local === null) {
      if (ready.persist !== null) node.write(ready.persist);
      node.apply(ready.thenApply);
      for (const message of [...ready.send, ...ready.thenSend]) this.#send(message);
      node.core.advance();
      return;
    }
    node.appendWork.push(...local.append);
    node.applyWork.push(...local.apply);
    for (const message of ready.send) this.#send(message);
  }

  /** False when there is nothing to do on that thread. */
  processStorage(node: EtcdNode, thread: "append" | "apply"): boolean {
    const work = (thread === "append" ? node.appendWork : node.applyWork).shift();
    if (work === undefined) return false;
    this.write("Processing:");
    this.write(describeWire({ ...work.wire, responses: [] }));
    work.carryOut();
    this.write("Responses:");
    for (const response of work.responses) this.write(describeWire(response.wire));
    this.#inFlight.push(...work.responses);
    return true;
  }

  deliver(type: string | null, recipients: readonly Recipient[]): number {
    let delivered = 0;
    for (const { id, drop } of recipients) {
      const matches = (parcel: Parcel): boolean =>
        parcel.wire.to === id &&
        !(drop && (parcel.wire.from === parcel.wire.to || typeof parcel.wire.from === "string")) &&
        (type === null || parcel.wire.type === type);
      const chosen = this.#inFlight.filter(matches);
      this.#inFlight = this.#inFlight.filter((parcel) => !matches(parcel));
      delivered += chosen.length;
      for (const parcel of chosen) {
        this.write((drop ? "dropped: " : "") + describeWire(parcel.wire));
        if (drop) continue;
        const why = parcel.deliver(this.node(id));
        if (why !== null && why.endsWith("is no member")) this.write("raft: cannot step as peer not found");
      }
    }
    return delivered;
  }

  hasMessagesFor(id: number): boolean {
    return this.#inFlight.some((parcel) => parcel.wire.to === id);
  }

  /** Round and round until nobody has anything to do. */
  stabilize(nodes: readonly EtcdNode[]): void {
    for (let done = false; !done;) {
      done = true;
      const section = (node: EtcdNode, title: string, act: () => void): void => {
        this.write(`> ${node.id} ${title}`);
        this.indented(act);
        done = false;
      };
      for (const node of nodes)
        if (node.core.hasWork()) section(node, "handling Ready", () => this.processReady(node));
      for (const node of nodes)
        if (this.hasMessagesFor(node.id))
          section(node, "receiving messages", () => this.deliver(null, [{ id: node.id, drop: false }]));
      for (const thread of ["append", "apply"] as const)
        for (const node of nodes)
          if ((thread === "append" ? node.appendWork : node.applyWork).length > 0)
            section(node, `processing ${thread} thread`, () => {
              while (this.processStorage(node, thread));
            });
    }
  }

  #send(message: Message): void {
    this.#inFlight.push({ wire: wireOf(message), deliver: (to) => to.core.step(message) });
  }
}

function describeReady(
  node: EtcdNode,
  ready: Ready,
  now: Pick<EtcdNode["told"], "leader" | "role">,
  messages: Parameters<typeof describeWire>[0][],
): string {
  const { hardState = null, entries = [], snapshot = null } = ready.persist ?? {};
  const told = node.told;
  const lines: string[] = [];
  if (now.leader !== told.leader || now.role !== told.role)
    lines.push(`Lead:${now.leader} State:${ROLE_NAMES[now.role]}`);
  if (hardState !== null) lines.push(`HardState ${describeHardState(hardState)}`);
  if (entries.length > 0) lines.push("Entries:", ...entries.map(describeEntry));
  if (snapshot !== null) lines.push(`Snapshot ${describeSnapshot(snapshot)}`);
  if (ready.thenApply.length > 0) lines.push("CommittedEntries:", ...ready.thenApply.map(describeEntry));
  if (messages.length > 0) lines.push("Messages:", ...messages.map((message) => describeWire(message)));
  if (lines.length === 0) return "<empty Ready>";
  const mustSync =
    entries.length > 0 ||
    (hardState !== null &&
      (hardState.term !== told.hardState.term || hardState.vote !== told.hardState.vote));
  return [`Ready MustSync=${mustSync}:`, ...lines].join("\n");
}

/** Our Ready as the two messages to storage threads that etcd shows. */
function storageWork(node: EtcdNode, ready: Ready): { append: StorageWork[]; apply: StorageWork[] } {
  const { id } = node;
  const { persist, thenSend, thenApply } = ready;
  const append: StorageWork[] = [];
  if (persist !== null || thenSend.length > 0) {
    const { hardState = null, entries = [], snapshot = null, receipt = null } = persist ?? {};
    const responses: Parcel[] = [];
    if (receipt !== null)
      receipt.ownAnswers.forEach((message, at) =>
        responses.push({ wire: wireOf(message), deliver: node.receiptFor(receipt, at) }),
      );
    for (const message of thenSend)
      responses.push({ wire: wireOf(message), deliver: (to) => to.core.step(message) });
    if (receipt !== null && (receipt.lastIndex > 0 || receipt.snapshotIndex > 0))
      responses.push({
        wire: {
          from: "AppendThread",
          to: id,
          type: "MsgStorageAppendResp",
          term: receipt.term,
          logTerm: receipt.lastTerm,
          index: receipt.lastIndex,
          snapshot,
        },
        deliver: node.receiptFor(receipt, null),
      });
    append.push({
      wire: {
        from: id,
        to: "AppendThread",
        type: "MsgStorageAppend",
        term: hardState?.term ?? 0,
        commit: hardState?.commit ?? 0,
        vote: hardState?.vote ?? 0,
        entries,
        snapshot,
        responses: responses.map((response) => response.wire),
      },
      responses,
      carryOut: () => persist !== null && node.write(persist),
    });
  }
  const apply = thenApply.length === 0 ? [] : [applyWork(node, thenApply)];
  return { append, apply };
}

function applyWork(node: EtcdNode, entries: readonly Entry[]): StorageWork {
  const last = entries[entries.length - 1] as Entry;
  const response: Parcel = {
    wire: { from: "ApplyThread", to: node.id, type: "MsgStorageApplyResp", term: 0, entries },
    deliver: (to) => {
      to.core.applied(last.index);
      return null;
    },
  };
  return {
    wire: {
      from: node.id,
      to: "ApplyThread",
      type: "MsgStorageApply",
      term: 0,
      entries,
      responses: [response.wire],
    },
    responses: [response],
    carryOut: () => node.apply(entries),
  };
}
