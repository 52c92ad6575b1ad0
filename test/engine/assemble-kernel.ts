/** Writes `src/engine/kernel-bytes.ts` from `kernel.wat`: `npx tsc -b && node dist/test/engine/assemble-kernel.js`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import wabt from "wabt";

/** The text of the generated file. */
export async function assembleKernel(root: string): Promise<string> {
  const source = readFileSync(join(root, "src/engine/kernel.wat"), "utf8");
  const assembler = await wabt();
  const parsed = assembler.parseWat("kernel.wat", source, { simd: true });
  try {
    const { buffer } = parsed.toBinary({});
    const text = Buffer.from(buffer).toString("base64");
    const lines = text.match(/.{1,100}/g) ?? [];
    return [
      "// Generated from kernel.wat by test/engine/assemble-kernel.ts; a test holds the two together.",
      "export const KERNEL_BASE64 =",
      lines.map((line) => `  "${line}"`).join(" +\n") + ";",
      "",
    ].join("\n");
  } finally {
    parsed.destroy();
  }
}

const started = process.argv[1];
if (started !== undefined && import.meta.url === pathToFileURL(started).href)
  writeFileSync(join(process.cwd(), "src/engine/kernel-bytes.ts"), await assembleKernel(process.cwd()));
