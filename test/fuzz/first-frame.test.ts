/** What strangers make the node gather on its ports for other nodes before they have proved anything. */
import { writeFileSync, readFileSync } from "node:fs";
import { connect, constants, type ClientHttp2Session } from "node:http2";
import { afterEach, beforeEach, expect, test } from "vitest";
import { callPeer } from "../../shards/adapters.ts";
import { within } from "./support/rounds.ts";
import { Subject } from "./support/subject.ts";

/** Both ports take nodes, which prove themselves in their first two frames. */
const PATHS = { peer: "/flotilla.v1.Peers/Stream", grpc: "/flotilla.v1.NodeCalls/Stream" } as const;
const SECRET = "battery-staple-battery-staple";
/** More than may be unproved at once on the gRPC port, with connections of their own. */
const STRANGERS = 100;
/** Below what a peer may send in one frame. */
const FRAME_BYTES = 32 << 20;
const PIECE = Buffer.alloc(1 << 20, 0x91);
/** A connection with what the kernel and HTTP/2 hold of it: window and buffers of 64 KiB each, and some. */
const GROWTH_MIB = 64;
const ENDED_WITHIN_MS = 30_000;

let subject: Subject;
beforeEach(async () => {
  subject = await Subject.start(["--cluster-secret", SECRET]);
});
afterEach(() => subject[Symbol.asyncDispose]());

/** Most that the process has had since the last call with "reset", in MiB. */
function peakMiB(): number {
  const status = readFileSync(`/proc/${subject.node.child.pid}/status`, "utf8");
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
const resetPeak = (): void => writeFileSync(`/proc/${subject.node.child.pid}/clear_refs`, "5");

/** Sends a frame as fast as it is taken; resolves with the code of HTTP/2 that ended the stream. */
async function stranger(session: ClientHttp2Session, path: string, prefix: Buffer): Promise<number> {
  const stream = session.request({
    ":method": "POST",
    ":path": path,
    "content-type": "application/grpc",
    "grpc-encoding": "gzip",
    te: "trailers",
  });
  let left = FRAME_BYTES;
  const more = (): void => {
    while (left > 0 && !stream.destroyed) {
      left -= PIECE.length;
      if (!stream.write(PIECE)) return;
    }
  };
  stream.on("drain", more);
  stream.write(prefix);
  more();
  return await new Promise((resolve) => {
    // An error is followed by "close", which has its code.
    stream.on("error", () => stream.close());
    stream.once("close", () => resolve(stream.rstCode ?? -1));
    stream.resume();
  });
}

function prefixOf(flag: number, length: number): Buffer {
  const prefix = Buffer.alloc(5);
  prefix.writeUInt8(flag, 0);
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

test.each([
  ["peer", "that is as large as a peer's may be", prefixOf(0, FRAME_BYTES)],
  ["peer", "that is said to be compressed", prefixOf(1, 4_000)],
  ["grpc", "that is as large as a peer's may be", prefixOf(0, FRAME_BYTES)],
  ["grpc", "that is said to be compressed", prefixOf(1, 4_000)],
] as const)(
  "on the %s port a first frame %s is not gathered, however many send one",
  async (port, _, prefix) => {
    const peer = `127.0.0.1:${subject.port("peer")}`;
    await subject.check();
    const before = subject.held().rssMiB;
    resetPeak();
    const sessions = Array.from({ length: STRANGERS }, () =>
      connect(`http://127.0.0.1:${subject.port(port)}`),
    );
    try {
      for (const session of sessions) session.on("error", () => session.destroy());
      const codes = await within(
        ENDED_WITHIN_MS,
        `the end of ${STRANGERS} streams`,
        Promise.all(sessions.map(async (session) => await stranger(session, PATHS[port], prefix))),
      );
      expect(new Set(codes)).toEqual(new Set([constants.NGHTTP2_ENHANCE_YOUR_CALM]));
      expect(peakMiB() - before).toBeLessThan(GROWTH_MIB);
      const asked = callPeer(peer, "nothing of that name", new Uint8Array(0), {
        secret: SECRET,
        timeoutMs: 5_000,
      });
      // Past the handshake, in the words of the node itself.
      await expect(asked).rejects.toThrow(/nothing of that name/);
    } finally {
      for (const session of sessions) session.destroy();
    }
    await subject.check();
  },
  90_000,
);
