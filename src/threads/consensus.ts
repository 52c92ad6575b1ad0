/**
 * The consensus thread: all Raft groups of the node, its log and nothing else. It parses no JSON and walks no graph,
 * so that nothing a client sends can make its turns late.
 */
import { workerData, type MessagePort } from "node:worker_threads";
import {
  GroupId,
  LogIndex,
  NodeId,
  openHost,
  type Group,
  type GroupStatus,
  type Host,
  type LogStore,
  type ShardEvent,
  type Term,
} from "../../shards/index.ts";
import {
  callPeer,
  openPeerTransport,
  openSqliteLog,
  systemClock,
  systemRandom,
  systemScheduler,
  TlsCredentials,
  type PeerEvent,
  type PeerTransport,
} from "../../shards/adapters.ts";
import { OpenCaptures, RemoteApplyOp } from "./apply-remote.ts";
import { ConsensusMeter } from "./consensus-meter.ts";
import type {
  ApplyContract,
  ConsensusFrontContract,
  ConsensusReports,
  ConsensusSettings,
  HolderContract,
  PeerSettings,
} from "./contracts.ts";
import { reportDelay } from "./delay.ts";
import { handOver } from "./hand-over.ts";
import { hasCaughtUp } from "./leading.ts";
import { Repeats } from "./repeats.ts";
import { Rpc, ThreadError } from "./rpc.ts";

/** What the front hands to the thread when it starts it. */
export interface ConsensusThreadData {
  readonly front: MessagePort;
  readonly engines: readonly MessagePort[];
  readonly callsMax: number;
}

/** Group 0 is the catalogue: its state machine lives on the front. */
const CATALOGUE = GroupId(0);

const CLOSED = { kind: "stopped", why: "the shard is closed" } as const;

class ConsensusThread {
  readonly #front: Rpc<ConsensusFrontContract, ConsensusReports>;
  readonly #engines: readonly Rpc<HolderContract, ApplyContract>[];
  readonly #restores = new OpenCaptures();
  readonly #meter: ConsensusMeter;
  readonly #repeats = new Repeats();
  #peers: {
    readonly transport: PeerTransport;
    readonly settings: PeerSettings;
    readonly tls: TlsCredentials | null;
  } | null = null;
  #running: { readonly host: Host; readonly log: LogStore; readonly nodeId: NodeId } | null = null;

  constructor({ front, engines, callsMax }: ConsensusThreadData) {
    this.#engines = engines.map(
      (port, at) =>
        new Rpc<HolderContract, ApplyContract>(
          { peer: `the engine-${at} thread`, callsMax },
          {
            port,
            handlers: {
              readRestored: (request) => this.#restores.read(request),
              stateMachineFailed: ({ group, message, code }) =>
                this.#group(group)?.stateMachineFailed(new ThreadError(code, message)),
            },
          },
        ),
    );
    this.#front = new Rpc<ConsensusFrontContract, ConsensusReports>(
      { peer: "the front", callsMax },
      {
        port: front,
        handlers: {
          listen: (settings) => this.#listen(settings),
          replaceTls: (identity) => this.#peers?.tls?.replace(identity),
          start: (settings) => this.#start(settings),
          setPeers: (peers) =>
            this.#transport().setPeers(peers.map((peer) => ({ ...peer, node: NodeId(peer.node) }))),
          callPeer: ({ address, name, body, timeoutMs }) => this.#callPeer(address, name, body, timeoutMs),
          groups: () =>
            this.#open()
              .log.groups()
              .filter((group) => group !== CATALOGUE),
          openGroup: ({ group, engine, founders }) => this.#openGroup(GroupId(group), engine, founders),
          closeGroup: async ({ group }) => {
            if (this.#group(group) !== undefined) await this.#open().host.closeGroup(GroupId(group));
          },
          destroyGroup: async ({ group }) => {
            const { host, log } = this.#open();
            if (this.#group(group) !== undefined) await host.destroyGroup(GroupId(group));
            else if (log.groups().includes(GroupId(group))) await log.destroy(GroupId(group));
          },
          propose: ({ group, data, wait, timeoutMs }, { signal }) =>
            this.#group(group)?.propose(data, { wait, timeoutMs, signal }) ?? CLOSED,
          readIndex: ({ group, timeoutMs }, { signal }) =>
            this.#group(group)?.readIndex({ timeoutMs, signal }) ?? CLOSED,
          waitApplied: ({ group, index, timeoutMs }, { signal }) =>
            this.#group(group)?.waitApplied(LogIndex(index), { timeoutMs, signal }) ?? CLOSED,
          status: ({ group }) => this.#group(group)?.status() ?? null,
          statuses: () => this.#running?.host.groups().map((group) => group.status()) ?? [],
          changeMembership: ({ group, steps, timeoutMs }, { signal }) =>
            this.#group(group)?.changeMembership(
              steps.map(({ kind, node }) => ({ kind, node: NodeId(node) })),
              { timeoutMs, signal },
            ) ?? CLOSED,
          transfer: ({ group, to }) =>
            this.#group(group)?.transferLeadership(NodeId(to)) ??
            (this.#group(group) === undefined ? CLOSED.why : null),
          handOver: ({ timeoutMs }) => handOver(this.#running?.host.groups() ?? [], timeoutMs),
          readRestored: (request) => this.#restores.read(request),
          close: () => this.#close(),
        },
      },
    );
    this.#meter = new ConsensusMeter((samples) => this.#front.notify("samples", samples));
    reportDelay("consensus", {
      send: (report) => this.#front.notify("report", report),
      waiting: () => this.#front.waiting,
    });
  }

  async #listen(settings: PeerSettings): Promise<string> {
    const { address, secret, stagingPath, snapshotBytesPerSecond } = settings;
    const tls = settings.tls === null ? null : new TlsCredentials(settings.tls);
    const transport = await openPeerTransport(
      {
        address,
        secret: secret ?? "",
        stagingPath,
        limits: { snapshotBytesPerSecond },
        ...(tls === null
          ? {}
          : {
              credentials: {
                server: tls.server({ verifyClients: settings.tls?.mutual ?? false }),
                client: tls.client(),
              },
            }),
      },
      {
        onCall: (name, body) => this.#front.call("peerCall", { name, body }),
        onEvent: (event) => this.#peerEvent(event),
      },
    );
    this.#peers = { transport, settings, tls };
    return transport.address;
  }

  async #callPeer(address: string, name: string, body: Uint8Array, timeoutMs: number): Promise<Uint8Array> {
    const { settings, tls = null } = this.#peers ?? {};
    const proofs = { secret: settings?.secret ?? "", ...(tls === null ? {} : { credentials: tls.client() }) };
    return await callPeer(address, name, body, { ...proofs, timeoutMs });
  }

  async #start(settings: ConsensusSettings): Promise<void> {
    const log = await openSqliteLog({ path: settings.raftFile });
    const nodeId = NodeId(settings.nodeId);
    const { clusterId: cluster, incarnation, advertise } = settings;
    const transport = this.#transport();
    transport.identify({ cluster, node: nodeId, incarnation, advertise });
    const host = openHost(
      {
        identity: { cluster, node: nodeId, incarnation },
        limits: settings.limits,
      },
      {
        log,
        transport,
        clock: systemClock,
        random: systemRandom,
        scheduler: systemScheduler,
        events: { event: (event) => this.#event(event) },
      },
    );
    this.#running = { host, log, nodeId };
  }

  async #openGroup(group: GroupId, engine: number | null, founders: readonly number[]): Promise<GroupStatus> {
    const { host, log, nodeId } = this.#open();
    const holder = engine === null ? this.#front : this.#engines[engine];
    if (holder === undefined) throw new RangeError(`there is no engine thread ${engine}`);
    const applyOp = new RemoteApplyOp(group, { holder, restores: this.#restores });
    const isNew = !log.groups().includes(group);
    const bootstrap = {
      // Founders are named with the one to lead first; a configuration is a set in order.
      voters: [...founders].sort((a, b) => a - b).map(NodeId),
      votersOutgoing: [],
      learners: [],
      learnersNext: [],
      autoLeave: false,
    };
    const opened = await host.openGroup({ group, applyOp, bootstrap });
    // The founders' first leader: waiting for silence would only make the start slower.
    if (isNew && founders[0] === nodeId) opened.campaign();
    return opened.status();
  }

  async #close(): Promise<void> {
    const { host, log } = this.#open();
    this.#running = null;
    await host[Symbol.asyncDispose]();
    await log[Symbol.asyncDispose]();
    await this.#peers?.transport[Symbol.asyncDispose]();
    this.#meter[Symbol.dispose]();
  }

  #open(): { readonly host: Host; readonly log: LogStore; readonly nodeId: NodeId } {
    if (this.#running === null) throw new Error("the log is not open");
    return this.#running;
  }
  #transport(): PeerTransport {
    if (this.#peers === null) throw new Error("the peer port is not open");
    return this.#peers.transport;
  }
  #group(group: number): Group | undefined {
    return this.#running?.host.group(GroupId(group));
  }

  #peerEvent(event: PeerEvent): void {
    this.#meter.peer(event);
    switch (event.kind) {
      case "refusedPeer":
        this.#tellSometimes("a connection to the peer port was refused", {
          sender: event.sender,
          why: event.why,
        });
        return;
      case "badFrame":
        this.#tellSometimes("a peer sent what cannot be understood", {
          sender: event.sender,
          error: event.error.message,
        });
        return;
      case "refusedByPeer":
        this.#tellSometimes("a peer does not let this node in", { node: event.node, why: event.why });
        return;
      case "peerAddress":
        this.#tell("info", "a peer moved", { node: event.node, address: event.address });
        return;
      case "snapshotEnded": {
        const { direction, group, ok, why } = event;
        this.#tell(ok ? "info" : "warn", "snapshot transfer ended", { direction, group, ok, why });
        return;
      }
      default:
        // What is only counted, by the meter above.
        return;
    }
  }

  #event(event: ShardEvent): void {
    this.#meter.event(event);
    switch (event.kind) {
      case "core":
        this.#coreEvent(event.group, event.event);
        return;
      case "groupStopped": {
        const { group, why, error } = event;
        const code = codeOf(error);
        this.#front.notify("group", { kind: "stopped", group, why, code });
        this.#tell("error", "group stopped", { group, why, code });
        return;
      }
      case "groupOpened":
        this.#tell("debug", "group opened", {
          group: event.group,
          applied: event.applied,
          last: event.last,
        });
        return;
      case "compacted":
        this.#tell("info", "log compacted", {
          group: event.group,
          to: event.to,
          keptBytes: event.keptBytes,
        });
        return;
      case "snapshotFailed":
        this.#tell("warn", "snapshot failed", { group: event.group, error: event.error.message });
        return;
      default:
        // What is only counted, by the meter above.
        return;
    }
  }

  #coreEvent(group: GroupId, event: (ShardEvent & { readonly kind: "core" })["event"]): void {
    switch (event.kind) {
      case "roleChanged":
        if (event.role === "leader") void this.#announceLeader(group, event.term);
        else this.#front.notify("group", { kind: "role", group, role: event.role, term: event.term });
        return;
      case "leaderChanged": {
        const leader = event.leader === 0 ? null : event.leader;
        this.#front.notify("group", { kind: "leader", group, leader, term: event.term });
        return;
      }
      case "steppedDown":
        this.#tell("warn", "stepped down", { group, term: event.term, why: event.why });
        return;
      default:
        return;
    }
  }

  /**
   * An elected leader may not know yet what was acknowledged before its term, so the front hears of it, and answers
   * reads by it, only once the entry that opens the term is committed and applied (§8; raft.md, never 8).
   */
  async #announceLeader(id: GroupId, term: Term): Promise<void> {
    const group = this.#group(id);
    if (group === undefined || !(await hasCaughtUp(group, term))) return;
    this.#front.notify("group", { kind: "role", group: id, role: "leader", term });
    this.#tell("info", "leading", { group: id, term });
  }

  /** What others can set off as often as they like. */
  #tellSometimes(message: string, fields: Readonly<Record<string, string | number | null>>): void {
    const untold = this.#repeats.due(JSON.stringify([message, fields]), performance.now());
    if (untold !== null) this.#tell("warn", message, { ...fields, untold });
  }
  #tell(
    level: "debug" | "info" | "warn" | "error",
    message: string,
    fields: Readonly<Record<string, string | number | boolean | null>>,
  ): void {
    this.#front.notify("log", { level, message, fields });
  }
}

/** The first code along the chain of causes: each layer wraps what the one below said. */
function codeOf(error: unknown): string | null {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ("code" in at && typeof at.code === "string") return at.code;
  }
  return null;
}

new ConsensusThread(workerData as ConsensusThreadData);
