/** Builds the library that makes disks and clocks fail (see faulty-libc.c), and tells nodes to. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const SOURCE = fileURLToPath(new URL("faulty-libc.c", import.meta.url));

export class FaultyLibc implements Disposable {
  readonly #path = mkdtempSync(join(tmpdir(), "flotilla-faults-"));
  readonly #library = join(this.#path, "faulty-libc.so");

  /** The library, or why there is none here: it needs Linux and a C compiler. */
  static build(): FaultyLibc | string {
    if (process.platform !== "linux") return `LD_PRELOAD needs Linux, this is ${process.platform}`;
    const compiler = process.env["CC"] ?? "cc";
    if (spawnSync(compiler, ["--version"]).status !== 0) return `no C compiler: ${compiler} does not run`;
    const libc = new FaultyLibc();
    const args = ["-shared", "-fPIC", "-O1", "-o", libc.#library, SOURCE, "-ldl"];
    const { status, stderr } = spawnSync(compiler, args, { encoding: "utf8" });
    if (status === 0) return libc;
    libc[Symbol.dispose]();
    throw new Error(`${SOURCE} does not compile:\n${stderr}`);
  }

  /** For the process of one node. */
  env(node: number): Readonly<Record<string, string>> {
    this.set(node, "");
    return { LD_PRELOAD: this.#library, FLOTILLA_FAULTS: this.#file(node) };
  }
  /** `fsync`, `full`, `clock SECONDS`, `in PART_OF_PATH`, with line ends between; empty: nothing fails. */
  set(node: number, faults: string): void {
    writeFileSync(this.#file(node), faults);
  }
  #file(node: number): string {
    return join(this.#path, `node-${node}`);
  }

  [Symbol.dispose](): void {
    rmSync(this.#path, { recursive: true, force: true });
  }
}
