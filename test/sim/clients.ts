import type { GroupId } from "../../shards/ports.ts";
import { NodeId } from "../../shards/raft/types.ts";
import type { RegisterInput, RegisterOutput } from "../linearizability/register.ts";
import type { DecisionRecord } from "./decisions.ts";
import type { Dice } from "./dice.ts";
import type { ClientOperation, OperationEnd } from "./history.ts";
import { encodeCommand } from "./kv-machine.ts";
import type { World } from "./world.ts";

/** Attempts of one write, all with the same sequence: at most one takes effect. */
const ATTEMPTS_MAX = 3;
const RETRY_US = 4_000;

/** How one attempt ended for the client. */
type Attempt =
  | { readonly kind: "answered"; readonly output: RegisterOutput }
  | { readonly kind: "refused"; readonly leader: NodeId | null }
  | { readonly kind: "unknown" };

/** Which attempts were promised never to take effect. */
export type RefusedAttempts = Set<string>;

export function attemptName(origin: string, sequence: number, attempt: number): string {
  return `${origin}/${sequence}/${attempt}`;
}

/** One user of the cluster: one operation after another, each on some key of some group at some node. */
export class Client {
  readonly #world: World;
  readonly #number: number;
  readonly #dice: Dice;
  readonly #refused: RefusedAttempts;
  readonly #seen = new Map<string, string | null>();
  readonly #hints = new Map<GroupId, NodeId>();
  #turns = 0;
  #sequence = 0;
  /** Stops asking after the operation under way. */
  quiet = false;

  constructor(world: World, number: number, refused: RefusedAttempts) {
    this.#world = world;
    this.#number = number;
    this.#dice = world.dice.fork(`client ${number}`);
    this.#refused = refused;
  }

  start(): void {
    this.#world.timeline.after(this.#dice.below(this.#world.swarm.thinkUs), () => {
      this.#turn();
    });
  }

  #turn(): void {
    if (this.quiet) return;
    const choice = this.#world.decisions.decide(`client:${this.#number}:${++this.#turns}`, () =>
      this.#draw(),
    );
    const next = (): void => {
      const thinkUs = Number(choice?.["thinkUs"] ?? this.#world.swarm.thinkUs);
      this.#world.timeline.after(thinkUs, () => {
        this.#turn();
      });
    };
    if (choice === null) next();
    else this.#perform(choice, next);
  }

  #draw(): DecisionRecord {
    const dice = this.#dice;
    const { keys, thinkUs, readsPerMille, eventualPerMille, loyalPerMille } = this.#world.swarm;
    const group = dice.pick(this.#world.groups());
    const roll = dice.below(1000);
    const kind =
      roll < readsPerMille
        ? dice.below(1000) < eventualPerMille
          ? "eventual"
          : "read"
        : dice.pick(["write", "write", "write", "compareAndSet", "compareAndSet", "delete"]);
    const hint = this.#hints.get(group);
    const claimants = kind === "read" && dice.chance(loyalPerMille) ? this.#world.leaders(group) : [];
    const node =
      claimants.length > 0
        ? dice.pick(claimants)
        : hint !== undefined && dice.chance(700)
          ? hint
          : dice.pick(this.#world.nodes());
    return { group, key: `k${dice.below(keys)}`, kind, node, thinkUs: dice.below(thinkUs) };
  }

  /** Performs one operation and calls `next` when its end is known or given up; also used by the liveness phase. */
  #perform(choice: DecisionRecord, next: () => void): void {
    const world = this.#world;
    const group = world.groups().find((candidate) => candidate === choice["group"]);
    if (group === undefined) return;
    const key = String(choice["key"]);
    const kind = String(choice["kind"]);
    this.operate({ group, key, kind, node: NodeId(Number(choice["node"])) }, next);
  }

  operate(
    what: { readonly group: GroupId; readonly key: string; readonly kind: string; readonly node: NodeId },
    next: (end: OperationEnd) => void,
  ): void {
    const world = this.#world;
    const input = this.#input(what.kind, `${what.group}${what.key}`);
    const operation: ClientOperation = {
      id: world.history.length,
      client: this.#number,
      group: what.group,
      key: `g${what.group}.${what.key}`,
      input,
      consistency: what.kind === "eventual" ? "eventual" : "linearizable",
      called: world.tick(),
      committedBefore: world.committed(what.group),
      node: what.node,
      ended: null,
    };
    world.history.push(operation);
    const end = (ended: OperationEnd): void => {
      operation.ended = ended;
      if (ended.kind === "answered" && ended.output.kind === "value")
        this.#seen.set(`${what.group}${what.key}`, ended.output.value);
      else if (ended.kind === "answered" && input.kind === "write")
        this.#seen.set(`${what.group}${what.key}`, input.value);
      world.note(`op ${operation.id} ${operation.key} ${JSON.stringify(input)} ${JSON.stringify(ended)}`);
      world.operationEnded(operation);
      next(ended);
    };
    if (input.kind === "read") this.#read(operation, end);
    else this.#write(operation, ++this.#sequence, 1, false, end);
  }

  #input(kind: string, place: string): RegisterInput {
    const value = `${this.#number}.${this.#sequence + 1}`;
    switch (kind) {
      case "write":
        return { kind, value };
      case "compareAndSet":
        return { kind, expected: this.#seen.get(place) ?? null, value };
      case "delete":
        return { kind };
      default:
        return { kind: "read" };
    }
  }

  #read(operation: ClientOperation, end: (ended: OperationEnd) => void): void {
    const world = this.#world;
    const life = world.byId.get(operation.node)?.life;
    const group = life?.groups.get(operation.group);
    const machine = life?.machines.get(operation.group);
    if (life === null || life === undefined || group === undefined || machine === undefined) {
      end({ kind: "refused", at: world.tick() });
      return;
    }
    const answer = (): RegisterOutput => ({ kind: "value", value: machine.get(operation.key) });
    if (operation.consistency === "eventual") {
      end({ kind: "answered", at: world.tick(), output: answer() });
      return;
    }
    this.#within<OperationEnd>(
      (settle) => {
        life.process.enter(() => {
          group.readIndex({ timeoutMs: this.#patienceMs() }).then(
            (outcome) => {
              if (outcome.kind === "ready")
                settle({ kind: "answered", at: world.tick(), output: answer(), index: outcome.index });
              else settle({ kind: "refused", at: world.tick() });
            },
            (error: unknown) => {
              world.fail("calls end with an outcome", `readIndex threw ${String(error)}`);
            },
          );
        });
      },
      () => ({ kind: "unknown", at: world.tick() }),
      end,
    );
  }

  #write(
    operation: ClientOperation,
    sequence: number,
    attempt: number,
    doubtful: boolean,
    end: (ended: OperationEnd) => void,
  ): void {
    const world = this.#world;
    this.#attempt(operation, sequence, attempt, (found) => {
      const at = world.tick();
      if (found.kind === "answered") {
        this.#hints.set(operation.group, operation.node);
        end({ kind: "answered", at, output: found.output });
        return;
      }
      if (found.kind === "refused") {
        this.#refused.add(attemptName(this.#origin(), sequence, attempt));
        if (found.leader === null) this.#hints.delete(operation.group);
        else this.#hints.set(operation.group, found.leader);
      }
      const open = doubtful || found.kind === "unknown";
      if (attempt >= ATTEMPTS_MAX) {
        end({ kind: open ? "unknown" : "refused", at });
        return;
      }
      world.timeline.after(RETRY_US, () => {
        // Round about instead of by dice: a replay draws none.
        const nodes = world.nodes();
        operation.node =
          this.#hints.get(operation.group) ?? nodes[(sequence + attempt) % nodes.length] ?? operation.node;
        this.#write(operation, sequence, attempt + 1, open, end);
      });
    });
  }

  #attempt(
    operation: ClientOperation,
    sequence: number,
    attempt: number,
    end: (found: Attempt) => void,
  ): void {
    const world = this.#world;
    const life = world.byId.get(operation.node)?.life;
    const group = life?.groups.get(operation.group);
    if (life === null || life === undefined || group === undefined) {
      end({ kind: "refused", leader: null });
      return;
    }
    const data = encodeCommand({
      group: operation.group,
      by: { origin: this.#origin(), sequence },
      attempt,
      key: operation.key,
      input: operation.input,
    });
    this.#within<Attempt>(
      (settle) => {
        life.process.enter(() => {
          group.propose(data, { timeoutMs: this.#patienceMs() }).then(
            (outcome) => {
              switch (outcome.kind) {
                case "applied":
                  settle(
                    isOutput(outcome.result)
                      ? { kind: "answered", output: outcome.result }
                      : { kind: "unknown" },
                  );
                  return;
                case "committed":
                case "unknown":
                  settle({ kind: "unknown" });
                  return;
                case "notLeader":
                  settle({ kind: "refused", leader: outcome.leader });
                  return;
                case "dropped":
                case "overwritten":
                case "stopped":
                  settle({ kind: "refused", leader: null });
              }
            },
            (error: unknown) => {
              world.fail("calls end with an outcome", `propose threw ${String(error)}`);
            },
          );
        });
      },
      () => ({ kind: "unknown" }),
      end,
    );
  }

  /** A call to a process may never be answered, since the process may die: past its patience the client goes on. */
  #within<T>(call: (settle: (found: T) => void) => void, givenUp: () => T, end: (found: T) => void): void {
    let open = true;
    const settle = (found: T): void => {
      if (!open) return;
      open = false;
      end(found);
    };
    this.#world.timeline.after(this.#patienceMs() * 1_500, () => {
      if (open) settle(givenUp());
    });
    call(settle);
  }

  #patienceMs(): number {
    return Math.round((this.#world.electionUs * 3) / 1000);
  }

  #origin(): string {
    return `c${this.#number}`;
  }
}

function isOutput(result: unknown): result is RegisterOutput {
  return typeof result === "object" && result !== null && "kind" in result;
}
