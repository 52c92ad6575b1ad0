import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

/** Stands in for npm: notes that it ran, leaves a binary, and cannot bear another one at the same time. */
const NPM = `#!/usr/bin/env node
const fs = require("node:fs");
const [command, name] = process.argv.slice(2);
fs.appendFileSync("npm.log", command + " " + name + " " + (process.env.CXXFLAGS ?? "") + "\\n");
fs.writeFileSync("npm.busy", "", { flag: "wx" });
const end = (code) => { fs.rmSync("npm.busy"); process.exit(code); };
const release = "node_modules/" + name + "/build/Release";
fs.mkdirSync(release, { recursive: true });
const file = name === "hnswlib-node" ? "addon.node" : "better_sqlite3.node";
fs.writeFileSync(release + "/" + file, "");
if (process.env.NPM_SAYS) { console.error(process.env.NPM_SAYS); end(1); }
// Long enough for another one to meet it.
setTimeout(() => end(0), 300);
`;

export interface SetUpEnded {
  readonly code: number | null;
  readonly stderr: string;
}

/** A checkout in which every package and tool is a stand-in, for set-up to work on. */
export class SetUpProject implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "flotilla-setup-"));

  constructor() {
    for (const name of ["setup.mjs", "typed-vectors.mjs"]) {
      mkdirSync(join(this.path, "src"), { recursive: true });
      copyFileSync(join("src", name), join(this.path, "src", name));
    }
    const library = `module.exports = { L2Space: class { distance() {} } };`;
    const store = `module.exports = class { prepare() { return { get() {} }; } };`;
    this.#write("node_modules/hnswlib-node/package.json", `{"version":"3.0.0","main":"index.js"}`);
    this.#write("node_modules/hnswlib-node/index.js", library);
    this.#write("node_modules/hnswlib-node/src/addon.cc", "// flotilla: vectors as Float32Array");
    this.#write("node_modules/better-sqlite3/package.json", `{"version":"1.0.0","main":"index.js"}`);
    this.#write("node_modules/better-sqlite3/index.js", store);
    this.#write("node_modules/typescript/bin/tsc", "");
    for (const tool of ["npm", "c++", "make", "python3"]) {
      this.#write(`bin/${tool}`, tool === "npm" ? NPM : "#!/bin/sh\n");
      chmodSync(join(this.path, "bin", tool), 0o755);
    }
    symlinkSync(process.execPath, join(this.path, "bin", "node"));
  }

  get stampFile(): string {
    return join(this.path, "node_modules", ".flotilla-build.json");
  }
  get lockFile(): string {
    return join(this.path, "dist", ".set-up");
  }

  /** Which natives npm was told to build so far. */
  get built(): readonly string[] {
    const log = join(this.path, "npm.log");
    return existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
  }

  async setUp(env: Readonly<Record<string, string>> = {}): Promise<SetUpEnded> {
    const child = spawn(process.execPath, ["src/setup.mjs", "--after-install"], {
      cwd: this.path,
      env: { PATH: `${join(this.path, "bin")}:/usr/bin:/bin`, ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    let stderr = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
    const [code] = (await once(child, "close")) as [number | null];
    return { code, stderr };
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true, force: true });
  }

  #write(name: string, content: string): void {
    const file = join(this.path, name);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, content);
  }
}
