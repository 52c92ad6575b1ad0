/** Two nodes' ends of the calls between them, over loopback gRPC. */
import { createHmac, randomBytes } from "node:crypto";
import { once } from "node:events";
import { ServerCredentials, type Server } from "@grpc/grpc-js";
import type { NodeCallHandlers } from "../../../src/cluster/node-calls/contract.ts";
import type { PeerProof } from "../../../src/cluster/node-calls/proof.ts";
import type { NodeCallsEvent } from "../../../src/cluster/node-calls/wire.ts";
import type { Timers } from "../../../src/cluster/timers.ts";

const mac = (secret: string, ...parts: readonly string[]): string =>
  createHmac("sha256", secret).update(parts.join("|")).digest("hex");
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const text = (some: Uint8Array): string => new TextDecoder().decode(some);

/** A small challenge-response over a secret: hello = node, nonce; challenge = node, nonce, mac; answer = mac. */
export function proofOf(self: number, secret: string): PeerProof {
  return {
    dial(node) {
      const mine = randomBytes(8).toString("hex");
      return {
        hello: bytes(`${self} ${mine}`),
        answer(challenge) {
          const [who = "", theirs = "", proof] = text(challenge).split(" ");
          if (proof !== mac(secret, "accepting", who, mine)) throw new Error("the secrets differ");
          if (Number(who) !== node) throw new Error(`node ${who} answers where node ${node} should`);
          return bytes(mac(secret, "dialling", String(self), theirs));
        },
      };
    },
    accept() {
      const mine = randomBytes(8).toString("hex");
      let who = "";
      return {
        challenge(hello) {
          const [node = "", theirs = ""] = text(hello).split(" ");
          who = node;
          return bytes(`${self} ${mine} ${mac(secret, "accepting", String(self), theirs)}`);
        },
        verify(answer) {
          if (text(answer) !== mac(secret, "dialling", who, mine)) throw new Error("the secrets differ");
          return Number(who);
        },
      };
    },
  };
}

const refuse = (): Promise<never> => Promise.reject(new Error("not expected"));
export const NO_HANDLERS: NodeCallHandlers = {
  propose: refuse,
  search: refuse,
  retrieve: refuse,
  scroll: refuse,
  count: refuse,
  readIndex: refuse,
  groups: refuse,
  changeMembership: refuse,
  transfer: refuse,
  restart: refuse,
  withdraw: refuse,
  node: refuse,
};

/** Binds the server to a free loopback port, or the one given. */
export async function listen(server: Server, port = 0): Promise<{ readonly grpc: string }> {
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`127.0.0.1:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error === null ? resolve(at) : reject(error),
    );
  });
  return { grpc: `127.0.0.1:${bound}` };
}

/** Time that passes when the test says so. */
export class ManualTimers implements Timers {
  #now = 0;
  readonly #due = new Set<{ readonly at: number; readonly callback: () => void }>();
  nowMs(): number {
    return this.#now;
  }
  after(ms: number, callback: () => void): () => void {
    const timer = { at: this.#now + ms, callback };
    this.#due.add(timer);
    return () => this.#due.delete(timer);
  }
  advance(ms: number): void {
    const until = this.#now + ms;
    for (;;) {
      const next = [...this.#due].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)[0];
      if (next === undefined) break;
      this.#due.delete(next);
      this.#now = next.at;
      next.callback();
    }
    this.#now = until;
  }
}

/** What happened, and waiting for what is to happen. */
export class Events {
  readonly seen: NodeCallsEvent[] = [];
  readonly #target = new EventTarget();
  readonly add = (event: NodeCallsEvent): void => {
    this.seen.push(event);
    this.#target.dispatchEvent(new Event("event"));
  };
  async until(matches: (event: NodeCallsEvent) => boolean): Promise<NodeCallsEvent> {
    for (;;) {
      const found = this.seen.find(matches);
      if (found !== undefined) return found;
      await once(this.#target, "event");
    }
  }
}
