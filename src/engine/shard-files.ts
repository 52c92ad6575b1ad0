/**
 * A shard's directory. Everything lies in one of its `data-N` directories, which `CURRENT` names: replacing all of it
 * at once (a restored snapshot) is renaming one small file.
 */
import { existsSync } from "node:fs";
import { mkdir, readFile, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { EngineError } from "./errors.ts";
import { replaceFile, syncDirectory } from "./files.ts";

const CURRENT = "CURRENT";
export const POINTS_FILE = "points.sqlite";

export async function currentData(directory: string): Promise<string> {
  await mkdir(directory, { recursive: true });
  const pointer = join(directory, CURRENT);
  if (!existsSync(pointer)) {
    const named = (await readdir(directory)).filter((name) => name.startsWith("data-"));
    if (named.some((name) => existsSync(join(directory, name, POINTS_FILE))) && !named.includes("data-1"))
      throw new EngineError("STORE_CORRUPT", `${pointer} is missing beside ${named.join(", ")}`);
    await mkdir(join(directory, "data-1"), { recursive: true });
    await replaceFile(pointer, "data-1\n");
  }
  const name = (await readFile(pointer, "utf8")).trim();
  const data = join(directory, name);
  if (!/^data-[0-9]+$/.test(name) || !existsSync(data))
    throw new EngineError("STORE_CORRUPT", `${pointer} names ${JSON.stringify(name)}, which is not there`);
  await removeData(directory, name);
  return data;
}

/** An empty directory beside the current one, for a snapshot that is being received. */
export async function stageData(directory: string): Promise<string> {
  const numbers = (await readdir(directory))
    .filter((name) => /^data-[0-9]+$/.test(name))
    .map((name) => Number(name.slice("data-".length)));
  const staged = join(directory, `data-${Math.max(0, ...numbers) + 1}`);
  await mkdir(staged);
  return staged;
}

/** From now on, also after a crash, `staged` is the data. */
export async function adoptData(directory: string, staged: string): Promise<void> {
  await syncDirectory(staged);
  await syncDirectory(directory);
  const name = staged.slice(directory.length + 1);
  await replaceFile(join(directory, CURRENT), `${name}\n`);
}

async function removeData(directory: string, keep: string): Promise<void> {
  for (const name of await readdir(directory))
    if (/^(data|capture)-[0-9]+$/.test(name) && name !== keep)
      await rm(join(directory, name), { recursive: true, force: true });
}
