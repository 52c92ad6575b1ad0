/** The download of a public file, against a server on this machine that misbehaves as asked. */
import { createServer } from "node:http";
import type { RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterEach, beforeEach, expect, test } from "vitest";
import { DownloadError, download } from "../../src/datasets/download.ts";

const BODY = Buffer.alloc(3_000_000, "flotilla ");
let directory = "";
let close: () => Promise<void> = () => Promise.resolve();

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "flotilla-download-"));
});

afterEach(async () => {
  await close();
  close = () => Promise.resolve();
  await rm(directory, { recursive: true, force: true });
});

/** The address of a server that answers every request with this. */
async function serving(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  close = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, "close");
  };
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/set.hdf5`;
}

async function failure(promise: Promise<void>): Promise<DownloadError> {
  const error: unknown = await promise.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  if (!(error instanceof DownloadError)) throw new Error("a DownloadError was expected", { cause: error });
  expect(error.message).not.toContain("\n");
  return error;
}

test("a whole file arrives under its name, with progress up to the announced length", async () => {
  const url = await serving((_, response) => {
    response.setHeader("content-length", BODY.length).end(BODY);
  });
  const file = join(directory, "deep", "set.hdf5");
  const seen: [number, number | null][] = [];
  await download({ url, file, onProgress: (bytes, total) => seen.push([bytes, total]) });
  expect(BODY.equals(await readFile(file))).toBe(true);
  expect(seen.at(-1)).toEqual([BODY.length, BODY.length]);
  expect(await readdir(join(directory, "deep"))).toEqual(["set.hdf5"]);
});

test("the length of an encoded answer is not held against the decoded bytes", async () => {
  const packed = gzipSync(BODY);
  const url = await serving((_, response) => {
    response.setHeader("content-encoding", "gzip").setHeader("content-length", packed.length).end(packed);
  });
  const file = join(directory, "set.hdf5");
  const totals = new Set<number | null>();
  await download({ url, file, onProgress: (_, total) => totals.add(total) });
  expect(BODY.equals(await readFile(file))).toBe(true);
  expect([...totals]).toEqual([null]);
});

test("a cache directory that is a file is one error line, and no exception escapes", async () => {
  const url = await serving((_, response) => response.end(BODY));
  await writeFile(join(directory, "cache"), "a file");
  const error = await failure(download({ url, file: join(directory, "cache", "set.hdf5") }));
  expect(error.message).toMatch(/cannot be downloaded to .*set\.hdf5: .*ENOTDIR|EEXIST/u);
});

test.skipIf(process.getuid?.() === 0)("a directory that may not be written is one error line", async () => {
  const url = await serving((_, response) => response.end(BODY));
  await chmod(directory, 0o500);
  const error = await failure(download({ url, file: join(directory, "set.hdf5") }));
  expect(error.message).toContain("EACCES");
  await chmod(directory, 0o700);
});

test("a file that cannot be opened for writing is one error line", async () => {
  const url = await serving((_, response) => response.end(BODY));
  // Longer than a file name may be: the open fails after the answer has begun, whoever runs the test.
  const error = await failure(download({ url, file: join(directory, "x".repeat(250)) }));
  expect(error.message).toContain("ENAMETOOLONG");
  expect(await readdir(directory)).toEqual([]);
});

test("an answer that breaks off leaves no part behind, and the next attempt succeeds", async () => {
  let requests = 0;
  const url = await serving((_, response) => {
    response.setHeader("content-length", BODY.length);
    requests += 1;
    if (requests > 1) response.end(BODY);
    else response.write(BODY.subarray(0, 1_000_000), () => response.destroy());
  });
  const file = join(directory, "set.hdf5");
  await failure(download({ url, file }));
  expect(await readdir(directory)).toEqual([]);
  await download({ url, file });
  expect(BODY.equals(await readFile(file))).toBe(true);
});

test("a server that stops in the middle is given up on and leaves no part behind", async () => {
  const url = await serving((_, response) => {
    response.setHeader("content-length", BODY.length);
    response.write(BODY.subarray(0, 1_000));
  });
  const error = await failure(download({ url, file: join(directory, "set.hdf5"), stallTimeoutMs: 50 }));
  expect(error.message).toContain("no answer in time");
  expect(await readdir(directory)).toEqual([]);
});

test("a refusal names the status and a file that is there already is not asked for again", async () => {
  let requests = 0;
  const url = await serving((_, response) => {
    requests += 1;
    response.writeHead(404).end();
  });
  const file = join(directory, "set.hdf5");
  expect((await failure(download({ url, file }))).message).toContain("the server answered 404");
  await writeFile(file, "whole");
  await download({ url, file });
  expect(requests).toBe(1);
});

test("a full disk is one error line, and what was written is removed", async () => {
  const url = await serving((_, response) => response.end(BODY));
  // Every write to it fails with ENOSPC, as on a disk that has just become full; the part is a link to it.
  const file = join(directory, "set.hdf5");
  await symlink("/dev/full", `${file}.${process.pid}.part`);
  const error = await failure(download({ url, file }));
  expect(error.message).toContain("ENOSPC");
  expect(await readdir(directory)).toEqual([]);
});
