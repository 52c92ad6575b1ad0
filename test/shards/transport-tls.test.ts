/** The peer port against strangers, with and without TLS. */
import { connect as connectHttp2 } from "node:http2";
import { connect, createServer, type Socket } from "node:net";
import { createServer as createTlsServer } from "node:tls";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { Client, credentials, status, type ServiceError } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import {
  callPeer,
  openPeerTransport,
  TlsCredentials,
  type PeerEvent,
  type PeerTransport,
  type TlsIdentity,
} from "../../shards/adapters.ts";
import { NodeId } from "../../shards/index.ts";
import { pack } from "../../shards/transport/codec.ts";
import { beginHello } from "../../shards/transport/handshake.ts";
import { frameCodec, STREAM_PATH } from "../../shards/transport/wire.ts";
import { certificate } from "../auth/certificates.ts";
import { scratch } from "./support/scratch.ts";

const SECRET = "secret";
const ASK = { secret: SECRET, timeoutMs: 5_000 };
const BODY = Uint8Array.of(1, 2, 3);
let directory = "";

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "flotilla-tls-"));
  certificate(directory, "authority");
  certificate(directory, "node", "authority");
  certificate(directory, "next", "authority");
  certificate(directory, "stranger");
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

const pem = (file: string): Buffer => readFileSync(join(directory, file));
const identity = (name: string, ca = "authority"): TlsIdentity => ({
  cert: pem(`${name}.crt`),
  key: pem(`${name}.key`),
  ca: pem(`${ca}.crt`),
});

interface Listening {
  readonly transport: PeerTransport;
  readonly events: PeerEvent[];
}

/** Node 2 of cluster "test". */
async function listening(tls: TlsCredentials | null, host = "127.0.0.1"): Promise<Listening> {
  const events: PeerEvent[] = [];
  const transport = await openPeerTransport(
    {
      address: `${host}:0`,
      secret: SECRET,
      stagingPath: scratch(),
      ...(tls === null
        ? {}
        : { credentials: { server: tls.server({ verifyClients: true }), client: tls.client() } }),
    },
    { onCall: (_, body) => Promise.resolve(body), onEvent: (event) => events.push(event) },
  );
  onTestFinished(async () => await transport[Symbol.asyncDispose]());
  transport.identify({ cluster: "test", node: NodeId(2), incarnation: "two", advertise: "" });
  transport.start({ messages: () => undefined, peer: () => undefined, snapshot: () => undefined });
  return { transport, events };
}

const HELLO = {
  purpose: "messages",
  cluster: "test",
  sender: 1,
  receiver: 2,
  senderIncarnation: "one",
  receiverIncarnation: null,
  advertise: "",
};

/** Sends frames, each after an answer to the one before, and resolves with how the stream ended. */
async function say(
  address: string,
  frames: readonly Buffer[],
): Promise<{ readonly code: number; readonly details: string; readonly answers: readonly Buffer[] }> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  onTestFinished(() => client.close());
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(
    STREAM_PATH,
    frameCodec.serialize,
    frameCodec.deserialize,
  );
  const answers: Buffer[] = [];
  const left = [...frames];
  const next = (): void => {
    const frame = left.shift();
    if (frame !== undefined) call.write(frame);
  };
  call.on("data", (answer: Buffer) => {
    answers.push(answer);
    next();
  });
  next();
  const [error] = (await once(call, "error").catch((thrown: unknown) => [thrown])) as [ServiceError];
  return { code: error.code, details: error.details, answers };
}

describe("without TLS", () => {
  test("another secret and another cluster are refused, with the reason", async () => {
    const { transport, events } = await listening(null);
    const guess = pack([randomBytes(32)]);
    const guessed = await say(transport.address, [beginHello("another", HELLO).hello, guess]);
    expect(guessed.code).toBe(status.PERMISSION_DENIED);
    const foreign = await say(transport.address, [beginHello(SECRET, { ...HELLO, cluster: "other" }).hello]);
    expect([foreign.code, foreign.details]).toEqual([
      status.FAILED_PRECONDITION,
      "it belongs to another cluster",
    ]);
    expect(foreign.answers).toEqual([]);
    expect(events).toContainEqual(expect.objectContaining({ kind: "refusedPeer", why: "proof" }));
    expect(events).toContainEqual(expect.objectContaining({ kind: "refusedPeer", why: "cluster" }));
  });

  test("a conversation that was recorded is worth nothing on another connection", async () => {
    const { transport, events } = await listening(null);
    const dialling = beginHello(SECRET, HELLO);
    const client = new Client(transport.address, credentials.createInsecure());
    onTestFinished(() => client.close());
    const call = client.makeBidiStreamRequest<Buffer, Buffer>(
      STREAM_PATH,
      frameCodec.serialize,
      frameCodec.deserialize,
    );
    call.on("error", () => call.end());
    call.write(dialling.hello);
    const [welcome] = (await once(call, "data")) as [Buffer];
    const { proof } = dialling.answer(welcome);
    call.write(proof);

    const replayed = await say(transport.address, [dialling.hello, proof]);
    expect([replayed.code, replayed.details]).toEqual([
      status.PERMISSION_DENIED,
      "the cluster's secret is another one",
    ]);
    // The same hello, and another welcome: the listener's nonce is new each time.
    expect(replayed.answers[0]?.equals(welcome)).toBe(false);
    expect(events.filter(({ kind }) => kind === "refusedPeer")).toHaveLength(1);
    call.cancel();
  });

  test("a first frame larger than any hello ends the stream", async () => {
    const { transport, events } = await listening(null);
    const large = await say(transport.address, [Buffer.alloc(4_097)]);
    expect(large.code).toBe(status.RESOURCE_EXHAUSTED);
    const [event] = events;
    expect(event).toMatchObject({ kind: "badFrame", sender: null });
    expect(event?.kind === "badFrame" ? event.error.message : "").toContain("4097 bytes");
    expect(await callPeer(transport.address, "echo", BODY, ASK)).toEqual(BODY);
  });

  test("who is refused, or opens no stream, loses his connection, even if he never ends anything", async () => {
    const { transport } = await listening(null);
    const ended = Array.from({ length: 3 }, async (_, at) => {
      // Answers pings, as the keepalive asks, and leaves its own side of everything open.
      const session = connectHttp2(`http://${transport.address}`);
      onTestFinished(() => session.destroy());
      session.on("error", () => session.destroy());
      if (at > 0) {
        const headers = { ":method": "POST", ":path": STREAM_PATH, "content-type": "application/grpc" };
        const stream = session.request(headers, { endStream: false });
        stream.on("error", () => stream.close());
        stream.resume();
        // An empty message, which is no hello, or none at all.
        if (at > 1) stream.write(Buffer.alloc(5));
      }
      await once(session, "close");
    });
    await Promise.all(ended);
    expect(await callPeer(transport.address, "echo", BODY, ASK)).toEqual(BODY);
  });

  test("more strangers than may be unproved at once are told so, and lose their streams", async () => {
    const { transport } = await listening(null);
    const many = 140;
    const headers = { ":method": "POST", ":path": STREAM_PATH, "content-type": "application/grpc" };
    const statuses: string[] = [];
    const sessions = Array.from({ length: 4 }, () => connectHttp2(`http://${transport.address}`));
    onTestFinished(() => sessions.forEach((session) => session.destroy()));
    await Promise.all(
      Array.from({ length: many }, async (_, at) => {
        // Silent, and with its own side open.
        const stream = sessions[at % sessions.length]?.request(headers, { endStream: false });
        if (stream === undefined) return;
        stream.on("response", ({ "grpc-status": code }) => statuses.push(String(code)));
        stream.on("error", () => stream.close());
        stream.resume();
        await once(stream, "close");
      }),
    );
    const told = (code: status): number => statuses.filter((one) => one === String(code)).length;
    expect([told(status.RESOURCE_EXHAUSTED), told(status.DEADLINE_EXCEEDED)]).toEqual([many - 128, 128]);
    expect(await callPeer(transport.address, "echo", BODY, ASK)).toEqual(BODY);
  });

  test("who says nothing after connecting does not keep others out", async () => {
    const { transport } = await listening(null);
    const silent = Array.from({ length: 20 }, () => {
      const client = new Client(transport.address, credentials.createInsecure());
      onTestFinished(() => client.close());
      const call = client.makeBidiStreamRequest<Buffer, Buffer>(
        STREAM_PATH,
        frameCodec.serialize,
        frameCodec.deserialize,
      );
      call.on("error", () => call.end());
      return call;
    });
    expect(await callPeer(transport.address, "echo", BODY, ASK)).toEqual(BODY);
    for (const call of silent) call.cancel();
  });
});

describe("mutual TLS", () => {
  const dialAs = (tls: TlsCredentials, address: string, timeoutMs = 5_000) =>
    callPeer(address, "echo", BODY, { secret: SECRET, timeoutMs, credentials: tls.client() });

  test("lets in who has a certificate by the authority and knows the secret", async () => {
    const tls = new TlsCredentials(identity("node"));
    const { transport, events } = await listening(tls);
    expect(await dialAs(tls, transport.address)).toEqual(BODY);
    const guess = { secret: "another", timeoutMs: 5_000, credentials: tls.client() };
    await expect(callPeer(transport.address, "echo", BODY, guess)).rejects.toMatchObject({ kind: "denied" });
    expect(events.filter(({ kind }) => kind === "badFrame")).toEqual([]);
  });

  test("refuses plaintext, no certificate, and one by another authority", async () => {
    const tls = new TlsCredentials(identity("node"));
    const { transport, events } = await listening(tls);
    const failed = expect.objectContaining({ name: "DialError", kind: "unreachable" }) as Error;
    await expect(callPeer(transport.address, "echo", BODY, ASK)).rejects.toEqual(failed);
    const anonymous = { ...ASK, credentials: credentials.createSsl(pem("authority.crt")) };
    // By name: the library's own credentials would send an address as one.
    const byName = transport.address.replace("127.0.0.1", "localhost");
    await expect(callPeer(byName, "echo", BODY, anonymous)).rejects.toEqual(failed);
    const stranger = new TlsCredentials(identity("stranger"));
    await expect(dialAs(stranger, transport.address)).rejects.toEqual(failed);
    // Not one of them came as far as the handshake above TLS.
    expect(events).toEqual([]);
    expect(await dialAs(tls, transport.address)).toEqual(BODY);
  });

  test("does not talk to a listener whose certificate is by another authority", async () => {
    const { transport } = await listening(new TlsCredentials(identity("stranger")));
    const tls = new TlsCredentials(identity("node"));
    await expect(dialAs(tls, transport.address)).rejects.toThrow(/certificate/);
  });

  test("who connects and never begins with TLS is not waited for", async () => {
    const { transport } = await listening(new TlsCredentials(identity("node")));
    const silent = connect(Number(transport.address.split(":")[1]), "127.0.0.1");
    silent.resume();
    onTestFinished(() => void silent.destroy());
    await once(silent, "close");
  });

  test("a name is sent as the server's name (SNI), an address is not (RFC 6066 §3)", async () => {
    const warnings: Error[] = [];
    const warned = (warning: Error): void => void warnings.push(warning);
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const names: unknown[] = [];
    const server = createTlsServer({ cert: pem("node.crt"), key: pem("node.key"), ALPNProtocols: ["h2"] });
    server.on("secureConnection", (socket) => {
      names.push(socket.servername);
      socket.destroy();
    });
    server.listen(0, "127.0.0.1");
    onTestFinished(() => void server.close());
    await once(server, "listening");
    const { port } = server.address() as { readonly port: number };
    const tls = new TlsCredentials(identity("node"));
    for (const host of ["127.0.0.1", "localhost"])
      await expect(dialAs(tls, `${host}:${port}`)).rejects.toMatchObject({ kind: "unreachable" });
    expect(new Set(names)).toEqual(new Set([false, "localhost"]));
    expect(warnings).toEqual([]);
  });

  test("a certificate for another address is refused", async () => {
    const tls = new TlsCredentials(identity("node"));
    const { transport } = await listening(tls, "127.0.0.2");
    await expect(dialAs(tls, transport.address)).rejects.toThrow(/IP: 127\.0\.0\.2 is not in the cert/);
  });

  test("new certificates are used by new connections, in both directions, while old connections go on", async () => {
    const tls = new TlsCredentials(identity("node"));
    const { transport } = await listening(tls);
    const old = new TlsCredentials(identity("node"));
    expect(await dialAs(old, transport.address)).toEqual(BODY);
    // From now on only the stranger's own authority counts here.
    tls.replace(identity("stranger", "stranger"));
    await expect(dialAs(old, transport.address)).rejects.toMatchObject({ kind: "unreachable" });
    old.replace(identity("stranger", "stranger"));
    expect(await dialAs(old, transport.address)).toEqual(BODY);
  });
});

test("a peer that takes the connection and never answers is given up in time", async () => {
  const held: Socket[] = [];
  const hole = createServer((socket) => held.push(socket.on("error", () => undefined))).listen(
    0,
    "127.0.0.1",
  );
  onTestFinished(() => {
    for (const socket of held) socket.destroy();
    hole.close();
  });
  await once(hole, "listening");
  const { port } = hole.address() as { readonly port: number };
  const asked = callPeer(`127.0.0.1:${port}`, "echo", BODY, { secret: SECRET, timeoutMs: 300 });
  await expect(asked).rejects.toMatchObject({ kind: "unreachable" });
});

test("bytes that are no HTTP/2 end only their own connection", async () => {
  const { transport } = await listening(new TlsCredentials(identity("node")));
  const { port } = new URL(`tcp://${transport.address}`);
  const socket = connect(Number(port), "127.0.0.1");
  socket.write("GET / HTTP/1.1\r\n\r\n");
  socket.resume();
  await once(socket, "close").catch((error: unknown) => expect(error).toMatchObject({ code: "ECONNRESET" }));
  const again = new TlsCredentials(identity("next"));
  expect(await callPeer(transport.address, "echo", BODY, { ...ASK, credentials: again.client() })).toEqual(
    BODY,
  );
});
