/**
 * Our own scenarios, as text with the expected output, in the format of etcd's interaction tests and with some
 * directives more. `UPDATE_SCENARIOS=1` writes what is shown now into the files; read the difference before keeping it.
 */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { Arguments, run } from "../conformance/etcd/commands.ts";
import { Environment } from "../conformance/etcd/environment.ts";
import { NodeId } from "../../shards/raft/types.ts";
import { parseDirectives, type Directive } from "../conformance/etcd/data-file.ts";

const folder = dirname(fileURLToPath(import.meta.url));

const OWN: Record<string, ((env: Environment, args: Arguments) => void) | undefined> = {
  /** `crash 1`: dies and starts again from what it had written. */
  crash: (env, args) => {
    env.crash(args.node());
    const { conf, commit, applied, lastIndex } = args.node().core.status();
    env.write(`restarted: commit=${commit} applied=${applied} last=${lastIndex}`);
    env.write(`voters=(${conf.voters.join(" ")})&&(${conf.votersOutgoing.join(" ")})`);
  },
  /** `connection 2 lost=1`: node 2 saw its connection to node 1 break; also `refused` and `connected`. */
  connection: (_, args) => {
    const { core } = args.node();
    for (const peer of args.ids("lost")) core.reportConnectionLost(peer);
    for (const peer of args.ids("refused")) core.reportConnectionRefused(peer);
    for (const peer of args.ids("connected")) core.reportConnected(peer);
  },
  /** `tick 2 times=3` */
  tick: (_, args) => {
    for (let tick = args.number("times", 1); tick > 0; tick--) args.node().core.tick();
  },
  /** `report-snapshot 1 3 ok=false` */
  "report-snapshot": (_, args) => {
    args.node().core.reportSnapshot(NodeId(Number(args.plain(1))), args.flag("ok"));
  },
  /** `conf 2`: voters, voters of the outgoing half, learners. */
  conf: (env, args) => {
    const { conf } = args.node().core.status();
    env.write(
      `${conf.voters.join(" ")} | ${conf.votersOutgoing.join(" ")} | learners ${conf.learners.join(" ")}`,
    );
  },
  /** `commit 1 2 3`: how far each is. */
  commit: (env, args) => {
    for (const node of args.nodes()) env.write(`${node.id}: commit=${node.core.status().commit}`);
  },
};

function show(env: Environment, directive: Directive): string {
  const own = OWN[directive.command];
  if (own === undefined) run(env, directive);
  else own(env, new Arguments(env, directive));
  return env.takePage();
}

for (const name of readdirSync(folder).filter((each) => each.endsWith(".txt")))
  test(name, () => {
    const path = join(folder, name);
    const text = readFileSync(path, "utf8");
    const env = new Environment();
    const shown = parseDirectives(text).map((directive) => {
      const quiet = directive.args.some((arg) => arg.key === "log-level" && arg.values[0] === "none");
      const page = show(env, directive);
      return { directive, page: quiet || page === "" ? "ok" : page };
    });
    if (process.env["UPDATE_SCENARIOS"] === "1")
      writeFileSync(
        path,
        rewritten(
          text,
          shown.map((each) => each.page),
        ),
      );
    else
      for (const { directive, page } of shown)
        expect(page, `${name}:${directive.line}`).toBe(directive.expected);
  });

/** The same file, with other expected output behind each `----`. */
function rewritten(text: string, pages: readonly string[]): string {
  const out: string[] = [];
  let skipping = false;
  let at = 0;
  for (const line of text.split("\n")) {
    if (skipping && line !== "") continue;
    skipping = line === "----";
    out.push(line);
    if (skipping) out.push(...(pages[at++] ?? "").split("\n"));
  }
  return out.join("\n");
}
