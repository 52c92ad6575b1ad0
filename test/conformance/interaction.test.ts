import { afterAll, describe, expect, test } from "vitest";
import { Environment } from "./etcd/environment.ts";
import { run } from "./etcd/commands.ts";
import { suite } from "./etcd/data-file.ts";

const files = suite("testdata");
let passedFiles = 0;
let passed = 0;

/** Log text is etcd's own wording; "ok" is how it shows that nothing was written. */
function comparable(output: string): string {
  const lines = output.split("\n").filter((line) => !/^\s*(DEBUG|INFO|WARN|ERROR|FATAL) /.test(line));
  const text = lines.join("\n");
  return text === "ok" ? "" : text;
}

describe.skipIf(files.length === 0)("etcd's interaction suite", () => {
  for (const file of files)
    test(file.name, () => {
      const env = new Environment();
      let isSilent = false;
      for (const directive of file.directives) {
        if (directive.command === "log-level") isSilent = directive.args[0]?.key === "none";
        const quiet =
          isSilent || directive.args.some((arg) => arg.key === "log-level" && arg.values[0] === "none");
        run(env, directive);
        const shown = env.takePage();
        const where = `${file.name}:${directive.line} ${directive.command}`;
        expect(quiet ? "" : comparable(shown), where).toBe(comparable(directive.expected));
        passed++;
      }
      passedFiles++;
    });

  test("forget_leader_read_only_lease_based.txt: under lease reads, forgetting is refused", () => {
    const env = new Environment();
    const file = files.find((each) => each.name === "forget_leader_read_only_lease_based.txt");
    const shown = (file?.directives ?? []).map((directive) => {
      run(env, directive);
      return [directive.command, env.takePage()];
    });
    expect(shown).toContainEqual([
      "forget-leader",
      "ERROR ignoring MsgForgetLeader due to ReadOnlyLeaseBased",
    ]);
  });

  test("the suite is complete", () => {
    expect(files).toHaveLength(28);
    expect(files.flatMap((file) => file.directives)).toHaveLength(558);
  });
  afterAll(() => console.log(`etcd interaction: ${passedFiles}/28 files, ${passed}/558 directives`));
});
