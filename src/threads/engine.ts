/**
 * An engine thread: the shards assigned to it, each with its points and its graph. Searches come straight from the
 * front, committed entries from the consensus thread; background work runs in slices between them.
 */
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { workerData, type MessagePort } from "node:worker_threads";
import { syncDirectory } from "../config/files.ts";
import { EngineApplyOp } from "../engine/apply-op.ts";
import { EngineError } from "../engine/errors.ts";
import type { EngineOptions } from "../engine/options.ts";
import { SYSTEM_CLOCK, TurnScheduler } from "../engine/scheduler.ts";
import { ShardEngine } from "../engine/shard-engine.ts";
import type { Engine, EngineEvent } from "../engine/surface.ts";
import { applyHandlers } from "./apply-remote.ts";
import type { ApplyContract, EngineContract, HolderContract, ReportContract } from "./contracts.ts";
import { reportDelay } from "./delay.ts";
import { Rpc, ThreadError } from "./rpc.ts";

/** What the front hands to the thread when it starts it. */
export interface EngineThreadData {
  readonly thread: string;
  readonly front: MessagePort;
  readonly consensus: MessagePort;
  readonly callsMax: number;
  readonly settings: Partial<EngineOptions>;
}

interface Shard {
  readonly engine: Engine;
  readonly applyOp: EngineApplyOp;
}

class EngineThread {
  readonly #settings: Partial<EngineOptions>;
  readonly #scheduler = new TurnScheduler();
  readonly #shards = new Map<number, Shard>();
  readonly #front: Rpc<EngineContract, ReportContract>;
  readonly #consensus: Rpc<ApplyContract, HolderContract>;

  constructor({ thread, front, consensus, callsMax, settings }: EngineThreadData) {
    this.#settings = settings;
    this.#consensus = new Rpc<ApplyContract, HolderContract>(
      { peer: "the consensus thread", callsMax },
      {
        port: consensus,
        handlers: applyHandlers(
          (group) => this.#shard(group).applyOp,
          () => this.#consensus,
        ),
      },
    );
    this.#front = new Rpc<EngineContract, ReportContract>(
      { peer: "the front", callsMax, sliceMs: 0 },
      {
        port: front,
        handlers: {
          open: (request) => this.#open(request),
          closeShard: ({ group }) => this.#close(group),
          destroyShard: async ({ group, directory }) => {
            await this.#close(group);
            await rm(directory, { recursive: true, force: true });
            syncDirectory(dirname(directory));
          },
          search: ({ group, queries }, context) => {
            // One walk of a graph is over before anybody could abort it: no signal is made for it.
            const isShort = queries.length === 1 && queries[0]?.exact === false;
            return this.#shard(group).engine.search(queries, isShort ? {} : { signal: context.signal });
          },
          retrieve: ({ group, ids, ...shape }) => this.#shard(group).engine.retrieve(ids, shape),
          scroll: ({ group, from, limit, ...shape }) => this.#shard(group).engine.scroll(from, limit, shape),
          count: ({ group }) => this.#shard(group).engine.count(),
          stats: ({ group }) => this.#shard(group).engine.stats(),
          close: async () => {
            await Promise.all([...this.#shards.keys()].map((group) => this.#close(group)));
          },
        },
      },
    );
    reportDelay(thread, {
      send: (report) => this.#front.notify("report", report),
      waiting: () => this.#front.waiting + this.#consensus.waiting,
    });
  }

  async #open({
    group,
    directory,
    vectors,
  }: EngineContract["open"]["request"]): Promise<{ applied: number }> {
    if (this.#shards.has(group)) throw new Error(`group ${group} is open already`);
    const engine = await ShardEngine.open({
      directory,
      spec: vectors,
      options: this.#settings,
      scheduler: this.#scheduler,
      clock: SYSTEM_CLOCK,
      events: (event) => this.#event(group, event),
    });
    this.#shards.set(group, { engine, applyOp: new EngineApplyOp(engine) });
    return { applied: engine.appliedIndex() };
  }

  async #close(group: number): Promise<void> {
    const shard = this.#shards.get(group);
    this.#shards.delete(group);
    // What it was busy with, or why it stopped, is over.
    this.#front.notify("shard", { group, busy: null });
    await shard?.engine.close();
  }

  #shard(group: number): Shard {
    const shard = this.#shards.get(group);
    if (shard !== undefined) return shard;
    throw new ThreadError("SHARD_CLOSED", `group ${group} is not open`);
  }

  #event(group: number, event: EngineEvent): void {
    const tell = (
      level: "info" | "warn" | "error",
      message: string,
      fields: Readonly<Record<string, string | number | boolean>>,
    ): void => this.#front.notify("log", { level, message, fields: { group, ...fields } });
    const busy = (what: string | null): void => this.#front.notify("shard", { group, busy: what });
    switch (event.kind) {
      case "opened": {
        const { points, indexed, appliedIndex, durationMs } = event;
        tell("info", "shard opened", { points, indexed, appliedIndex, ms: Math.round(durationMs) });
        return;
      }
      case "graphDiscarded":
        tell("warn", "saved graph not used", { why: event.why });
        return;
      case "rebuildStarted":
        tell("info", "rebuilding the graph", { reason: event.reason, total: event.total });
        busy(`rebuilding the graph: 0 of ${event.total} points (${event.reason})`);
        return;
      case "rebuildProgress":
        tell("info", "rebuilding the graph", { done: event.done, total: event.total });
        busy(`rebuilding the graph: ${event.done} of ${event.total} points`);
        return;
      case "rebuildFinished":
        tell("info", "graph rebuilt", { points: event.points, ms: Math.round(event.durationMs) });
        busy(null);
        return;
      case "graphSaved":
        tell("info", "graph saved", {
          points: event.points,
          bytes: event.bytes,
          ms: Math.round(event.durationMs),
        });
        return;
      case "graphSaveFailed":
        tell("warn", "graph not saved", { error: event.error.message });
        return;
      case "backPressure":
        tell("info", event.active ? "writes wait for the indexer" : "writes no longer wait", {
          tail: event.tail,
        });
        return;
      case "stopped":
        tell("error", "shard stopped", { error: event.error.message });
        this.#consensus.notify("stateMachineFailed", { group, ...failureOf(event.error) });
        busy(`stopped: ${event.error.message}`);
        return;
    }
  }
}

function failureOf(error: Error): { readonly message: string; readonly code: string } {
  return { message: error.message, code: error instanceof EngineError ? error.code : error.name };
}

new EngineThread(workerData as EngineThreadData);
