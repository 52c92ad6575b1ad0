/** `npm run bench -- <name> [options]`: runs one benchmark; without a name it lists them. */
import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** What a benchmark is: a file of this directory. */
interface Benchmark {
  main(args: readonly string[]): Promise<void>;
}

/** Files here that are programs of their own. */
const NOT_BENCHMARKS = ["run", "demo"];
const here = fileURLToPath(new URL(".", import.meta.url));

function names(): readonly string[] {
  return readdirSync(here)
    .flatMap((file) => (/^[\w-]+\.js$/.test(file) ? [file.slice(0, -3)] : []))
    .filter((name) => !NOT_BENCHMARKS.includes(name))
    .sort();
}

/** The first sentence of a benchmark's own comment. */
function about(name: string): string {
  const comment = /\/\*\*([\s\S]*?)\*\//.exec(readFileSync(`${here}${name}.js`, "utf8"))?.[1] ?? "";
  const text = comment.replace(/\s*\n\s*\*\s?/g, " ").trim();
  return /^.*?[.:](?=\s|$)/.exec(text)?.[0].replace(/:$/, ".") ?? text;
}

const [name, ...args] = process.argv.slice(2);
if (name === undefined) {
  console.log("npm run bench -- <name> [options]\n");
  for (const known of names()) console.log(`  ${known.padEnd(18)}${about(known)}`);
} else if (names().includes(name)) {
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => process.exit(130));
  const benchmark = (await import(`./${name}.js`)) as Benchmark;
  await benchmark.main(args);
} else {
  console.error(`no benchmark "${name}"; there are ${names().join(", ")}`);
  process.exitCode = 1;
}
