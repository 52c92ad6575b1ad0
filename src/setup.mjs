// Makes a checkout runnable: installs packages, builds the native ones for this machine, compiles TypeScript.
// Plain JavaScript without dependencies, since it runs before anything is installed. Each step is skipped when
// what it makes is already there, so that every npm script can begin with it.
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { takeTypedVectors, typedVectors } from "./typed-vectors.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const STAMP = join(ROOT, "node_modules", ".flotilla-build.json");
const NATIVE_FLAGS = "-O3 -march=native";
const OLDEST_NODE = [20, 15];
const LOCK = join(ROOT, "dist", ".set-up");
/** Longer than a slow machine takes to install and build everything. */
const TURN_WITHIN_MS = 30 * 60_000;
const LOOK_EVERY_MS = 200;

const afterInstall = process.argv.includes("--after-install");
const portable = process.env.FLOTILLA_PORTABLE === "1";

function stop(line) {
  console.error(`flotilla set-up: ${line}`);
  process.exit(1);
}

function say(line) {
  console.error(`flotilla set-up: ${line}`);
}

function checkNode() {
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1])) return;
  stop(`Node ${OLDEST_NODE.join(".")} or newer is needed, this is ${process.versions.node}.`);
}

function has(command) {
  return spawnSync(command, ["--version"], { stdio: "ignore" }).error === undefined;
}

function checkToolchain() {
  const missing = [];
  if (!has(process.env.CXX ?? "c++") && !has("g++") && !has("clang++"))
    missing.push("a C++ compiler (g++ or clang++)");
  if (!has("make")) missing.push("make");
  if (!has("python3") && !has("python")) missing.push("python3");
  if (missing.length > 0) {
    stop(
      `missing ${missing.join(", ")}. On Debian or Ubuntu: apt-get install -y g++ make python3; on macOS: xcode-select --install.`,
    );
  }
}

/**
 * One set-up at a time, as two take each other's packages away. What a killed one left is taken over; where nothing can
 * be written nothing can be disturbed either.
 */
function takeTurn() {
  const until = Date.now() + TURN_WITHIN_MS;
  for (let told = false; ;) {
    try {
      mkdirSync(join(ROOT, "dist"), { recursive: true });
      writeFileSync(LOCK, String(process.pid), { flag: "wx" });
      process.on("exit", () => rmSync(LOCK, { force: true }));
      return;
    } catch (error) {
      if (error.code !== "EEXIST") return;
    }
    const holder = holderOfTurn();
    if (holder === null) continue;
    if (!isRunning(holder)) {
      rmSync(LOCK, { force: true });
      continue;
    }
    if (Date.now() > until)
      stop(`another one, process ${holder}, does not end; end it, or remove ${LOCK} if that is no set-up.`);
    if (!told) say(`waiting for another one, process ${holder}`);
    told = true;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, LOOK_EVERY_MS);
  }
}

/** null: its turn is over. */
function holderOfTurn() {
  try {
    return Number(readFileSync(LOCK, "utf8"));
  } catch (error) {
    if (error.code === "ENOENT") return null;
    throw error;
  }
}

function isRunning(pid) {
  try {
    // 0, which is not written down yet, is this process's own group.
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === "EPERM";
  }
}

/** Runs npm quietly; its output is shown only when it failed. */
function npm(args, env = {}) {
  const cli = process.env.npm_execpath;
  const [command, prefix] = cli?.endsWith(".js") ? [process.execPath, [cli]] : ["npm", []];
  const run = spawnSync(command, [...prefix, ...args], {
    cwd: ROOT,
    // The caller may be a silent npm script, and a silent npm would fail without saying why.
    env: { ...process.env, npm_config_loglevel: "warn", ...env },
    encoding: "utf8",
    maxBuffer: 1 << 28,
  });
  if (run.error === undefined && run.status === 0) return;
  console.error(run.stdout ?? "", run.stderr ?? "", run.error ?? "");
  stop(`"npm ${args.join(" ")}" failed; its output is above.${remedy(`${run.stdout}${run.stderr}`)}`);
}

/** What helps against the two failures that have nothing to do with this project. */
function remedy(output) {
  if (/(EACCES|EPERM|EROFS|ENOTDIR|ENOSPC)[^]*_cacache/.test(output))
    return " npm cannot write its cache: let npm_config_cache name a directory that can be written.";
  if (/\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT|ENETUNREACH|ERR_SOCKET_TIMEOUT)\b/.test(output))
    return " The network or the package registry cannot be reached: run it again when it can.";
  return "";
}

function digestOf(...texts) {
  const hash = createHash("sha256");
  for (const text of texts) hash.update(text).update("\0");
  return hash.digest("hex").slice(0, 16);
}

/** Installed when npm's own record of node_modules is not older than the lock file. */
function installPackages() {
  const record = join(ROOT, "node_modules", ".package-lock.json");
  if (existsSync(record) && statSync(record).mtimeMs >= statSync(join(ROOT, "package-lock.json")).mtimeMs)
    return;
  say("installing packages");
  npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
}

/** What a native build depends on: the same text means the binaries at hand can be used. */
function machine() {
  const cpuFlags = existsSync("/proc/cpuinfo")
    ? (/^flags\s*:(.*)$/m.exec(readFileSync("/proc/cpuinfo", "utf8"))?.[1] ?? "")
    : "";
  const cpu = cpus()[0]?.model ?? "unknown";
  return {
    cpu,
    id: digestOf(process.platform, process.arch, process.versions.modules, cpu, cpuFlags),
  };
}

function loads(name, use) {
  const run = spawnSync(process.execPath, ["-e", use], { cwd: ROOT, encoding: "utf8" });
  if (run.status === 0) return;
  console.error(run.stderr);
  stop(`${name} was built but does not load; its error is above.`);
}

/** What the binaries at hand were built from; nothing when that is not known, or cut off by a crash. */
function readStamp() {
  try {
    return JSON.parse(readFileSync(STAMP, "utf8")) ?? {};
  } catch (error) {
    if (error instanceof SyntaxError || error.code === "ENOENT") return {};
    throw error;
  }
}

function buildNatives() {
  const { cpu, id } = machine();
  const wanted = {
    machine: id,
    cpu,
    node: process.versions.node,
    hnswlib: portable ? "portable" : "native",
    flags: portable ? "" : NATIVE_FLAGS,
    changes: digestOf(typedVectors),
    packages: ["hnswlib-node", "better-sqlite3"].map((name) => {
      const manifest = JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8"));
      return `${name}@${manifest.version}`;
    }),
  };
  const binaries = [
    "node_modules/hnswlib-node/build/Release/addon.node",
    "node_modules/better-sqlite3/build/Release/better_sqlite3.node",
  ];
  const have = readStamp();
  const same = ["machine", "hnswlib", "flags", "changes", "packages"].every(
    (key) => JSON.stringify(have[key]) === JSON.stringify(wanted[key]),
  );
  if (same && binaries.every((path) => existsSync(join(ROOT, path)))) return;

  checkToolchain();
  // From here on until the end nobody knows what the binaries are.
  rmSync(STAMP, { force: true });
  say(`building hnswlib-node (${wanted.hnswlib}${portable ? "" : `, ${NATIVE_FLAGS}`}) for ${cpu}`);
  try {
    takeTypedVectors(join(ROOT, "node_modules", "hnswlib-node", "src", "addon.cc"));
  } catch (error) {
    stop(`${error.message}; src/typed-vectors.mjs is for another release.`);
  }
  const flags = `${process.env.CXXFLAGS ?? ""} ${wanted.flags}`.trim();
  npm(["rebuild", "hnswlib-node", "--ignore-scripts=false"], { CXXFLAGS: flags });
  say("building better-sqlite3 (about a minute when no ready-made binary fits)");
  npm(["rebuild", "better-sqlite3", "--ignore-scripts=false"]);
  loads("hnswlib-node", `new (require("hnswlib-node").L2Space)(1).distance(new Float32Array(1), [1])`);
  loads("better-sqlite3", `new (require("better-sqlite3"))(":memory:").prepare("select 1").get()`);
  writeFileSync(`${STAMP}.new`, JSON.stringify(wanted, null, 2));
  renameSync(`${STAMP}.new`, STAMP);
}

function compile() {
  const tsc = join(ROOT, "node_modules", "typescript", "bin", "tsc");
  if (!existsSync(tsc)) {
    if (existsSync(join(ROOT, "dist", "src", "main.js"))) return;
    stop("typescript is not installed; run npm ci without --omit=dev.");
  }
  mkdirSync(join(ROOT, "dist"), { recursive: true });
  try {
    execFileSync(process.execPath, [tsc, "-b"], { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  } catch {
    stop("the TypeScript build failed; its errors are above.");
  }
}

checkNode();
takeTurn();
if (!afterInstall) installPackages();
buildNatives();
compile();
