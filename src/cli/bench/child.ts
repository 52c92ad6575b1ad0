/** A helper process of a benchmark that answers one question after the other. */
import { fork } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { compiledFile } from "../project.ts";

type Reply = { readonly ok: unknown } | { readonly failed: string };

/** Asks go out at once and are answered in order. The process ends with the object. */
export class Child<Ask extends object> implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #waiting: { resolve(value: unknown): void; reject(error: Error): void }[] = [];
  readonly #ended: Promise<void>;

  /** `source` is the TypeScript file of the process, from the project's root. */
  constructor(source: string) {
    this.#process = fork(compiledFile(source), {
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc"],
    });
    this.#process.on("message", (reply: Reply) => {
      const next = this.#waiting.shift();
      if ("ok" in reply) next?.resolve(reply.ok);
      else next?.reject(new Error(reply.failed));
    });
    const failAll = (why: string) => {
      for (const { reject } of this.#waiting.splice(0)) reject(new Error(`${source} ${why}`));
    };
    // Raised when it cannot be started, and when a question no longer reaches it.
    this.#process.on("error", (error) => failAll(`cannot be asked: ${error.message}`));
    this.#ended = new Promise((resolve) => {
      this.#process.once("exit", (code, signal) => {
        failAll(`ended early with ${signal ?? `exit code ${code}`}`);
        resolve();
      });
    });
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The caller knows which answer belongs to its question. */
  ask<Answer>(question: Ask): Promise<Answer> {
    return new Promise<Answer>((resolve, reject) => {
      this.#waiting.push({ resolve: (value) => resolve(value as Answer), reject });
      this.#process.send(question);
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.connected) this.#process.disconnect();
    await this.#ended;
  }
}

/** The other end: answers every question with what `answer` makes of it, in order. Ends when the asker goes away. */
export function answerQuestions<Ask extends object>(answer: (question: Ask) => unknown): void {
  let turn: Promise<void> = Promise.resolve();
  process.on("message", (question: Ask) => {
    turn = turn.then(async () => {
      try {
        process.send?.({ ok: await answer(question) });
      } catch (error) {
        process.send?.({ failed: (error as Error).stack ?? String(error) });
      }
    });
  });
  process.on("disconnect", () => process.exit(0));
}
