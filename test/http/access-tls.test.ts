import { once } from "node:events";
import { mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs";
import { request, type RequestOptions } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ApiError } from "../../src/api/errors.ts";
import { openTlsFiles } from "../../src/auth/tls-files.ts";
import type { HttpOptions } from "../../src/http/options.ts";
import { certificate } from "../auth/certificates.ts";
import { rawConnection } from "../support/raw-http.ts";
import { startRest } from "../support/rest.ts";

let directory: string;
const at = (name: string): string => join(directory, name);
const read = (name: string): Buffer => readFileSync(at(name));

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-tls-"));
  certificate(directory, "authority");
  certificate(directory, "stranger");
  for (const name of ["node", "client"]) certificate(directory, name, "authority");
});
afterAll(() => rmSync(directory, { recursive: true }));

interface Answer {
  readonly status: number;
  readonly location: string | undefined;
  readonly text: string;
  /** Whose certificate was shown. */
  readonly from: string;
}

function get(port: number, path: string, options: RequestOptions = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(
      { host: "127.0.0.1", port, path, agent: false, ca: read("authority.crt"), ...options },
      (answer) => {
        const from = String((answer.socket as TLSSocket).getPeerCertificate().subject.CN);
        let text = "";
        answer.setEncoding("utf8").on("data", (more: string) => (text += more));
        answer.on("end", () =>
          resolve({ status: answer.statusCode ?? 0, location: answer.headers.location, text, from }),
        );
      },
    );
    sent.on("error", reject).end();
  });
}

async function start(
  verifyClients = false,
  certFile = "node.crt",
  keyFile = "node.key",
  http: Partial<HttpOptions> = {},
) {
  const paths = { certFile: at(certFile), keyFile: at(keyFile), caFile: at("authority.crt") };
  const trouble = (error: Error): never => {
    throw error;
  };
  const files = openTlsFiles(paths, { everyMs: 0, trouble });
  const rest = await startRest({ tls: { files, verifyClients }, http });
  return { files, rest, port: rest.server.port, [Symbol.asyncDispose]: () => rest[Symbol.asyncDispose]() };
}

describe("TLS on REST", () => {
  test("answers who trusts its authority, and nobody in the clear", async () => {
    await using node = await start();
    expect(await get(node.port, "/healthz")).toMatchObject({ status: 200, from: "node" });
    await expect(get(node.port, "/healthz", { ca: read("stranger.crt") })).rejects.toThrow(/certificate/);
    await expect(fetch(`http://127.0.0.1:${node.port}/healthz`)).rejects.toThrow();
    expect((await get(node.port, "/healthz")).status).toBe(200);
  });

  test("is 1.2 or newer", async () => {
    await using node = await start();
    for (const version of ["TLSv1.2", "TLSv1.3"] as const)
      expect((await get(node.port, "/", { minVersion: version, maxVersion: version })).status).toBe(200);
    // Level 0 of the client's own library: otherwise it would be the client that refuses.
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT:@SECLEVEL=0" } as const;
    await expect(get(node.port, "/", old)).rejects.toThrow(/protocol version|EPROTO|ECONNRESET/);
  });

  test("cuts off whoever does not finish the handshake in time", async () => {
    await using node = await start(false, "node.crt", "node.key", { headersTimeoutMs: 100, connections: 1 });
    for (const bytes of [Buffer.alloc(0), Buffer.from([0x16, 3, 1, 2, 0, 1])]) {
      const silent = rawConnection(`http://127.0.0.1:${node.port}`);
      silent.send(bytes);
      expect(await silent.closed).toBe("");
    }
    // Their places are free again.
    expect((await get(node.port, "/healthz")).status).toBe(200);
  });

  test("takes a new certificate without a restart; open connections go on with theirs", async () => {
    certificate(directory, "rolling", "authority");
    await using node = await start(false, "rolling.crt", "rolling.key");
    const socket = connect({ host: "127.0.0.1", port: node.port, ca: read("authority.crt") });
    await once(socket, "secureConnect");
    certificate(directory, "rolled", "authority");
    for (const end of ["crt", "key"]) renameSync(at(`rolled.${end}`), at(`rolling.${end}`));
    expect(await node.files.check()).toBe(true);
    expect((await get(node.port, "/healthz")).from).toBe("rolled");
    socket.write("GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(first.toString()).toMatch(/^HTTP\/1\.1 200/);
    socket.destroy();
  });

  test("asks for a certificate of the client's when told to", async () => {
    await using node = await start(true);
    const mine = (name: string) => ({ cert: read(`${name}.crt`), key: read(`${name}.key`) });
    expect((await get(node.port, "/healthz", mine("client"))).status).toBe(200);
    await expect(get(node.port, "/healthz")).rejects.toThrow();
    await expect(get(node.port, "/healthz", mine("stranger"))).rejects.toThrow();
  });

  test("keeps its limits, and redirects within TLS", async () => {
    await using node = await start();
    const large = await get(node.port, "/healthz", { headers: { "x-large": "x".repeat(20_000) } });
    expect(large.status).toBe(413);
    const leader = { nodeId: 2, http: "b:6333", grpc: "b:6334", term: 7 };
    node.rest.cluster.failNext(new ApiError("NOT_LEADER", "Not the leader", { leader, shard: 0 }));
    const answer = await get(node.port, "/collections/c?timeout=5", { method: "DELETE" });
    expect([answer.status, answer.location]).toEqual([307, "https://b:6333/collections/c?timeout=5"]);
  });
});
