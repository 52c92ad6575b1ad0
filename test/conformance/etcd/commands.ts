/** The directives of etcd's interaction tests, each a few lines over the environment. */
import { confChange, type ConfTransition } from "../../../shards/raft/conf-change.ts";
import { describeEntry, describePeer, describeState } from "./describe.ts";
import { LogIndex, NodeId, Term, type ConfState } from "../../../shards/raft/types.ts";
import { parseSteps } from "./conf-steps.ts";
import type { Directive } from "./data-file.ts";
import type { EtcdNode, NodeOptions } from "./node.ts";
import type { Environment } from "./environment.ts";

/** Runs one directive; what it shows is on the environment's page. */
export function run(env: Environment, directive: Directive): void {
  const command = COMMANDS[directive.command];
  if (command === undefined) throw new Error(`unknown directive ${directive.command}`);
  command(env, new Arguments(env, directive));
}

export class Arguments {
  readonly #env: Environment;
  readonly directive: Directive;

  constructor(env: Environment, directive: Directive) {
    this.#env = env;
    this.directive = directive;
  }

  value(key: string): string | undefined {
    return this.directive.args.find((arg) => arg.key === key)?.values[0];
  }
  flag(key: string): boolean {
    return this.value(key) === "true";
  }
  number(key: string, otherwise: number): number {
    return Number(this.value(key) ?? otherwise);
  }
  ids(key: string): NodeId[] {
    return this.directive.args
      .filter((arg) => arg.key === key)
      .flatMap((arg) => arg.values)
      .map((value) => NodeId(Number(value)));
  }
  plain(at: number): string {
    return this.directive.args[at]?.key ?? "";
  }
  node(at = 0): EtcdNode {
    return this.#env.node(Number(this.plain(at)));
  }
  /** The nodes named by number, in that order. */
  nodes(): EtcdNode[] {
    return this.directive.args
      .filter((arg) => arg.values.length === 0)
      .map((arg) => this.#env.node(Number(arg.key)));
  }
}

const COMMANDS: Record<string, ((env: Environment, args: Arguments) => void) | undefined> = {
  "log-level": () => undefined,
  "add-nodes": addNodes,
  campaign: (_, args) => args.node().core.campaign(),
  compact: (env, args) => {
    const node = args.node();
    node.log.compact(LogIndex(Number(args.plain(1))), node.newestSnapshot.conf);
    showLog(env, node);
  },
  "deliver-msgs": (env, args) => {
    const recipients = args.directive.args.flatMap((arg) => {
      if (arg.key === "type") return [];
      const isDrop = arg.key === "drop";
      return (isDrop ? arg.values : [arg.key]).map((id) => ({ id: Number(id), drop: isDrop }));
    });
    if (env.deliver(args.value("type") ?? null, recipients) === 0) env.write("no messages");
  },
  "forget-leader": (env, args) => {
    // Etcd refuses in a log line; the outcome is a value here, and shown as the line it stands for.
    if (args.node().core.forgetLeader() !== null)
      env.write("ERROR ignoring MsgForgetLeader due to ReadOnlyLeaseBased");
  },
  "process-append-thread": (env, args) => process(env, args, "append"),
  "process-apply-thread": (env, args) => process(env, args, "apply"),
  "process-ready": (env, args) => {
    const nodes = args.nodes();
    for (const node of nodes)
      if (nodes.length === 1) env.processReady(node);
      else {
        env.write(`> ${node.id} handling Ready`);
        env.indented(() => env.processReady(node));
      }
  },
  propose: (env, args) => {
    const outcome = args.node().core.propose([new TextEncoder().encode(args.plain(1))]);
    if (outcome.kind === "dropped") env.write("raft proposal dropped");
  },
  "propose-conf-change": (env, args) => {
    const transition = (args.value("transition") ?? "auto") as ConfTransition;
    const change = confChange(parseSteps(args.directive.input), { transition });
    const entryKind = args.flag("v1") ? ("confChange" as const) : change.entryKind;
    const outcome = args.node().core.proposeConfChange({ ...change, entryKind });
    if (outcome.kind === "dropped") env.write("raft proposal dropped");
  },
  "raft-log": (env, args) => showLog(env, args.node()),
  "raft-state": (env) => {
    for (const node of env.nodes) env.write(describeState(node.core.status()));
  },
  "report-unreachable": (_, args) => args.node().core.reportUnreachable(NodeId(Number(args.plain(1)))),
  "send-snapshot": (env, args) => env.sendSnapshot(args.node(), Number(args.plain(1))),
  "set-randomized-election-timeout": (_, args) => {
    const node = args.node();
    node.nextRoll = args.number("timeout", 0) - node.electionTicks;
    node.core.redrawElectionTimeout();
  },
  stabilize: (env, args) => {
    const nodes = args.nodes();
    env.stabilize(nodes.length === 0 ? env.nodes : nodes);
  },
  status: (env, args) => {
    for (const peer of args.node().core.status().progress) env.write(describePeer(peer));
  },
  "tick-election": (_, args) => tick(args.node(), args.node().electionTicks),
  "tick-heartbeat": (_, args) => tick(args.node(), args.node().heartbeatTicks),
  "transfer-leadership": (env, args) => {
    env.node(args.number("from", 0)).core.transferLeader(NodeId(args.number("to", 0)));
  },
};

function addNodes(env: Environment, args: Arguments): void {
  const index = args.number("index", 0);
  const conf: ConfState = {
    voters: args.ids("voters"),
    votersOutgoing: [],
    learners: args.ids("learners"),
    learnersNext: [],
    autoLeave: false,
  };
  const options: NodeOptions = {
    electionTicks: args.number("election-ticks", 3),
    heartbeatTicks: 1,
    preVote: args.flag("prevote"),
    checkQuorum: args.flag("checkquorum"),
    stepDownOnRemoval: args.flag("step-down-on-removal"),
    disableConfChangeValidation: args.flag("disable-conf-change-validation"),
    storage: args.flag("async-storage-writes") ? "async" : "sync",
    readMode: args.value("read-only") === "lease-based" ? "lease" : "safe",
    maxMessageBytes: Infinity,
    maxInflightMessages: args.number("inflight", Infinity),
    maxApplyBytes: args.number("max-committed-size-per-ready", Infinity),
    deathEvidence: args.flag("death-evidence"),
    forwardProposals: true,
  };
  const boundary = index === 0 ? null : { index: LogIndex(index), term: Term(1), conf };
  for (let count = Number(args.plain(0)); count > 0; count--) env.addNode(boundary, options);
}

function showLog(env: Environment, node: EtcdNode): void {
  const { log } = node;
  if (log.lastIndex() < log.firstIndex())
    env.write(`log is empty: first index=${log.firstIndex()}, last index=${log.lastIndex()}`);
  else for (const entry of log.all()) env.write(describeEntry(entry));
}

function process(env: Environment, args: Arguments, thread: "append" | "apply"): void {
  const nodes = args.nodes();
  const one = (node: EtcdNode): void => {
    if (!env.processStorage(node, thread)) env.write(`no ${thread} work to perform`);
  };
  for (const node of nodes)
    if (nodes.length === 1) one(node);
    else {
      env.write(`> ${node.id} processing ${thread} thread`);
      env.indented(() => one(node));
    }
}

function tick(node: EtcdNode, times: number): void {
  for (let i = 0; i < times; i++) node.core.tick();
}
