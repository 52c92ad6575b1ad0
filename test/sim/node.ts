import { LogError } from "../../shards/ports.ts";
import type {
  ConfState,
  GroupId,
  LogIndex,
  LogStore,
  NodeId,
  ShardEvent,
  Transport,
} from "../../shards/ports.ts";
import type { Group, Host, HostLimits } from "../../shards/surface.ts";
import type { Dice } from "./dice.ts";
import type { SimDisk } from "./disk.ts";
import type { KvMachineParts } from "./kv-machine.ts";
import { KvFile, KvMachine } from "./kv-machine.ts";
import { openHost } from "../../shards/host.ts";
import type { SimProcess } from "./process.ts";

/** Every node of a run claims to be of this cluster. */
export const CLUSTER = "simulated";

export interface NodeParts {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly dice: Dice;
  readonly limits: Partial<HostLimits>;
  /** What its configuration file says each group's first members are. */
  readonly bootstrap: ReadonlyMap<GroupId, ConfState>;
  readonly event: (event: ShardEvent) => void;
  readonly machine: Pick<KvMachineParts, "applyFate"> & {
    readonly applies: (group: GroupId, ...args: Parameters<KvMachineParts["applies"]>) => void;
    readonly restores: (group: GroupId, ...args: Parameters<KvMachineParts["restores"]>) => void;
  };
  readonly membership: (group: GroupId, conf: ConfState, index: LogIndex) => void;
  /** A group could not be opened. */
  readonly openFailed: (group: GroupId, error: unknown) => void;
}

/** One life of the node: what its process holds in memory. */
export interface Life {
  readonly process: SimProcess;
  readonly host: Host;
  readonly groups: Map<GroupId, Group>;
  readonly machines: Map<GroupId, KvMachine>;
}

/** A machine with a disk, on which processes of the production host live one after another. */
export class SimNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly incarnation: string;
  readonly files = new Map<GroupId, KvFile>();
  readonly #parts: NodeParts;
  #lives = 0;
  life: Life | null = null;
  /** Wiped or damaged: its data is gone, and its id with it. */
  gone = false;
  /** A fault was injected into this life that a group may rightly stop for. */
  excused = false;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    this.id = parts.id;
    this.disk = parts.disk;
    this.incarnation = `run-${parts.id}`;
  }

  get lives(): number {
    return this.#lives;
  }

  get isUp(): boolean {
    return this.life !== null;
  }

  /** Throws what opening the store throws. */
  start(process: SimProcess, attach: (process: SimProcess) => Transport): void {
    this.#lives++;
    this.excused = this.disk.failingReads > 0 || this.disk.hardStateUnreadable;
    const host = this.#host(process, attach);
    const life: Life = { process, host, groups: new Map(), machines: new Map() };
    this.life = life;
    for (const [group, conf] of this.#parts.bootstrap)
      this.open(life, group, conf.voters.includes(this.id) ? conf : { ...conf, voters: [] });
  }

  /** As {@link start} on an empty disk with a configuration file that no longer names first members. */
  startWithoutLog(
    process: SimProcess,
    parts: {
      readonly attach: (process: SimProcess) => Transport;
      readonly opened: (group: GroupId) => void;
    },
  ): void {
    const host = this.#host(process, parts.attach);
    for (const group of this.#parts.bootstrap.keys()) {
      const file = new KvFile();
      const machine = new KvMachine({
        group,
        file,
        process,
        applyFate: this.#parts.machine.applyFate,
        applies: () => undefined,
        restores: () => undefined,
      });
      host.openGroup({ group, applyOp: machine, bootstrap: null }).then(
        () => {
          parts.opened(group);
        },
        (error: unknown) => {
          if (!(error instanceof LogError && error.code === "LOG_MISSING"))
            this.#parts.openFailed(group, error);
        },
      );
    }
  }

  #host(process: SimProcess, attach: (process: SimProcess) => Transport): Host {
    const log: LogStore = this.disk.open(process);
    return openHost(
      {
        identity: { cluster: CLUSTER, node: this.id, incarnation: this.incarnation },
        limits: this.#parts.limits,
      },
      {
        log,
        transport: attach(process),
        clock: process,
        random: this.#parts.dice.fork(`life ${this.#lives}`),
        scheduler: process,
        events: {
          event: (event) => {
            if (process.alive) this.#parts.event(event);
          },
        },
      },
    );
  }

  open(life: Life, group: GroupId, conf: ConfState): void {
    const { machine: parts } = this.#parts;
    const machine = new KvMachine({
      group,
      file: this.#file(group),
      process: life.process,
      applyFate: parts.applyFate,
      applies: (entry) => {
        parts.applies(group, entry);
      },
      restores: (index) => {
        parts.restores(group, index);
      },
    });
    life.host.openGroup({ group, applyOp: machine, bootstrap: conf }).then(
      (opened) => {
        opened.subscribe((notice) => {
          if (notice.kind === "membership") this.#parts.membership(group, notice.conf, notice.index);
        });
        life.groups.set(group, opened);
        life.machines.set(group, machine);
      },
      (error: unknown) => {
        if (life.process.alive) this.#parts.openFailed(group, error);
      },
    );
  }

  /** The process ends at once; `power`: and so does the machine, with everything that was not synced. */
  stop(options: { readonly power: boolean; readonly pendingSurvives: boolean }): void {
    this.life?.process.kill();
    this.life = null;
    this.disk.crash(options);
    for (const file of this.files.values()) file.crash(options);
  }

  wipe(): void {
    this.gone = true;
    this.disk.wipe();
    this.files.clear();
  }

  #file(group: GroupId): KvFile {
    const file = this.files.get(group) ?? new KvFile();
    this.files.set(group, file);
    return file;
  }
}
