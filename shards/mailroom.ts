import type { GroupLoop } from "./group.ts";
import type { HostLink } from "./host-link.ts";
import type {
  Beat,
  EventSink,
  GroupId,
  GroupMessage,
  NodeId,
  PeerEnvelope,
  RestMessage,
  ShardEvent,
  Transport,
} from "./ports.ts";
import type { HostIdentity } from "./surface.ts";

type Refusal = Extract<ShardEvent, { kind: "messageRefused" }>["why"];

export interface MailroomParts {
  readonly transport: Transport;
  readonly events: EventSink;
  readonly group: (id: GroupId) => GroupLoop | undefined;
  readonly groups: () => Iterable<GroupLoop>;
  readonly beat: (from: NodeId, beat: Beat) => void;
  readonly guard: HostLink["guard"];
  readonly discard: HostLink["discard"];
}

/** Where messages of all groups leave together, per peer and turn, and arrive with their envelope checked. */
export class Mailroom {
  readonly #identity: HostIdentity;
  readonly #parts: MailroomParts;
  readonly #outgoing = new Map<NodeId, GroupMessage[]>();
  /** Appends that tell a commit index and nothing else: the newest per peer and group. */
  #held = new Map<NodeId, Map<GroupId, GroupMessage>>();
  #closed = false;

  constructor(identity: HostIdentity, parts: MailroomParts) {
    this.#identity = identity;
    this.#parts = parts;
    parts.transport.start({
      messages: (envelope, messages) => {
        const why = this.#whyRefused(envelope);
        for (const carried of messages) {
          const { message } = carried;
          if (message.kind === "beat") this.#beat(envelope, message, why);
          else this.#deliver(envelope, carried, why, (group) => group.receive(message));
        }
      },
      snapshot: (envelope, announced, staged) => {
        const { message } = announced;
        const why = message.kind === "snapshot" ? this.#whyRefused(envelope) : "sender";
        const taken = this.#deliver(envelope, announced, why, (group) =>
          message.kind === "snapshot" ? group.receiveSnapshot(message, staged) : false,
        );
        if (!taken) parts.discard(staged, announced.group);
      },
      peer: (node, state) => {
        if (this.#closed) return;
        for (const group of parts.groups()) parts.guard(group.id, () => group.peerChanged(node, state));
      },
    });
  }

  /**
   * Leaves with the next flush. What only tells a follower how far it may apply waits for something else to travel
   * with, at most until {@link release}: the next write is usually on its heels, and brings it along for nothing.
   */
  post(message: GroupMessage): void {
    const { to } = message.message;
    const waiting = this.#outgoing.get(to);
    // Behind entries that leave in this turn it must stay behind: the follower would refuse what it has not got yet.
    if (waiting === undefined && message.message.kind === "append" && message.message.entries.length === 0) {
      const held = this.#held.get(to);
      if (held === undefined) this.#held.set(to, new Map([[message.group, message]]));
      else held.set(message.group, message);
      return;
    }
    if (waiting === undefined) this.#outgoing.set(to, [message]);
    else waiting.push(message);
  }

  /** Whether anything was waiting to leave. */
  flush(): boolean {
    if (this.#outgoing.size === 0) return false;
    for (const [to, messages] of this.#outgoing) {
      const held = this.#held.get(to);
      this.#held.delete(to);
      this.#parts.transport.send(to, held === undefined ? messages : [...held.values(), ...messages]);
    }
    this.#outgoing.clear();
    return true;
  }

  /** A tick went by: nothing waits any longer. */
  release(): void {
    const held = this.#held;
    this.#held = new Map();
    for (const [to, messages] of held) {
      const waiting = this.#outgoing.get(to);
      this.#outgoing.set(
        to,
        waiting === undefined ? [...messages.values()] : [...messages.values(), ...waiting],
      );
    }
  }

  close(): void {
    this.#closed = true;
    this.#outgoing.clear();
    this.#held.clear();
  }

  #whyRefused(envelope: PeerEnvelope): Refusal | null {
    if (envelope.cluster !== this.#identity.cluster) return "cluster";
    if (envelope.receiver !== this.#identity.node) return "receiver";
    const { receiverIncarnation } = envelope;
    if (receiverIncarnation !== null && receiverIncarnation !== this.#identity.incarnation)
      return "incarnation";
    return null;
  }

  #beat({ sender, receiver }: PeerEnvelope, beat: RestMessage & Beat, refused: Refusal | null): void {
    if (this.#closed) return;
    const why = refused ?? (beat.from !== sender || beat.to !== receiver ? "sender" : null);
    if (why === null) this.#parts.beat(sender, beat);
    else this.#parts.events.event({ kind: "messageRefused", from: sender, group: null, why });
  }

  #deliver(
    envelope: PeerEnvelope,
    { group, message }: GroupMessage,
    refused: Refusal | null,
    take: (group: GroupLoop) => boolean,
  ): boolean {
    if (this.#closed) return false;
    const loop = this.#parts.group(group);
    const why: Refusal | null =
      refused ??
      (message.from !== envelope.sender || message.to !== envelope.receiver
        ? "sender"
        : loop === undefined || loop.stopped
          ? "group"
          : take(loop)
            ? null
            : "overloaded");
    if (why !== null) this.#parts.events.event({ kind: "messageRefused", from: envelope.sender, group, why });
    return why === null;
  }
}
