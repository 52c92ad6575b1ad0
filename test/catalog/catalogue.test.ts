import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/index.ts";
import { Catalogue } from "../../src/catalog/catalogue.ts";
import { CatalogueFileError, formatCatalogue } from "../../src/catalog/file.ts";
import { temporaryDirectory } from "../e2e/support/node-process.ts";
import { command, create, withNodes } from "./support.ts";

const entry = (index: number, data: Uint8Array) => ({ term: Term(1), index: LogIndex(index), data });
const EMPTY = new Uint8Array();

/** A catalogue that its founder was let into. */
function openFounded(file: string): Catalogue {
  writeFileSync(file, formatCatalogue(withNodes(1)));
  return Catalogue.open(file);
}

test("what was applied is on disk when its result is given", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "catalogue.json");
  const catalogue = openFounded(file);
  await catalogue.apply([entry(1, EMPTY), entry(2, command(1, create("a", 2)))]);
  const again = Catalogue.open(file);
  expect(again.collections()).toEqual(catalogue.collections());
  expect(await again.durableIndex()).toBe(2);
});

test("an empty entry costs no write, a checkpoint writes it down", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "catalogue.json");
  const catalogue = Catalogue.open(file);
  await catalogue.apply([entry(1, EMPTY)]);
  expect(existsSync(file)).toBe(false);
  expect(await catalogue.durableIndex()).toBe(0);
  expect(await catalogue.appliedIndex()).toBe(1);
  expect(await catalogue.checkpoint()).toBe(1);
  expect(await Catalogue.open(file).appliedIndex()).toBe(1);
});

test("a crash before the file is replaced leaves the old state, and the log brings the new one", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "catalogue.json");
  const log = [
    entry(1, command(1, create("a"))),
    entry(2, command(2, { kind: "deleteCollection", name: "a" })),
  ];
  const catalogue = openFounded(file);
  await catalogue.apply(log.slice(0, 1));
  const crashed = join(directory.path, "crashed.json");
  cpSync(file, crashed);
  // As a write cut off in the middle leaves it: the half is under the temporary name.
  writeFileSync(`${crashed}.tmp`, '{"format":1,"sha');
  await catalogue.apply(log.slice(1));
  const restarted = Catalogue.open(crashed);
  expect(restarted.collections().map(({ name }) => name)).toEqual(["a"]);
  await restarted.apply(log);
  expect(restarted.collections()).toEqual(catalogue.collections());
  expect(readFileSync(crashed, "utf8")).toBe(readFileSync(file, "utf8"));
});

test("a write that fails is thrown, not swallowed", async () => {
  using directory = temporaryDirectory();
  const file = join(directory.path, "catalogue.json");
  const catalogue = openFounded(file);
  mkdirSync(`${file}.tmp`);
  await expect(catalogue.apply([entry(1, command(1, create("a")))])).rejects.toMatchObject({
    code: "EISDIR",
  });
  expect(await catalogue.durableIndex()).toBe(0);
});

test("listeners hear of changes, not of rejections", async () => {
  using directory = temporaryDirectory();
  const catalogue = openFounded(join(directory.path, "catalogue.json"));
  let heard = 0;
  const stop = catalogue.onChange(() => heard++);
  await catalogue.apply([entry(1, command(1, create("a")))]);
  await catalogue.apply([entry(2, command(2, create("a"))), entry(3, EMPTY)]);
  expect(heard).toBe(1);
  stop();
  await catalogue.apply([entry(4, command(3, create("b")))]);
  expect(heard).toBe(1);
});

describe("a file that cannot be trusted is refused", () => {
  const damage: readonly (readonly [string, (text: string) => string])[] = [
    ["cut short", (text) => text.slice(0, -20)],
    ["empty", () => ""],
    ["a name changed", (text) => text.replace('"name":"a"', '"name":"b"')],
    ["a number changed", (text) => text.replace('"applied":1', '"applied":2')],
    ["another document", () => '{"hello":1}'],
    ["a newer format", (text) => text.replace('"format":2', '"format":3')],
  ];
  test.each(damage)("%s", async (_, change) => {
    using directory = temporaryDirectory();
    const file = join(directory.path, "catalogue.json");
    await openFounded(file).apply([entry(1, command(1, create("a")))]);
    writeFileSync(file, change(readFileSync(file, "utf8")));
    expect(() => Catalogue.open(file)).toThrow(CatalogueFileError);
  });
});

test("a captured catalogue restores elsewhere to the same state", async () => {
  using directory = temporaryDirectory();
  const source = openFounded(join(directory.path, "source.json"));
  await source.apply([entry(1, command(1, create("a", 3)))]);
  await using snapshot = await source.capture();
  const target = Catalogue.open(join(directory.path, "target.json"));
  await target.restore(snapshot);
  expect(target.collections()).toEqual(source.collections());
  expect(await Catalogue.open(join(directory.path, "target.json")).appliedIndex()).toBe(1);
});
