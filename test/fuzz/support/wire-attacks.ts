/** What strangers may send to a port that speaks HTTP/2 and gRPC: none of it is a call that should succeed. */
import { pack } from "msgpackr";
import { oneOf, type Dice } from "../../e2e/cluster/support/dice.ts";

export function noise(dice: Dice, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => dice(256)));
}

const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
/** RFC 9113 §6. */
const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  ping: 6,
  goAway: 7,
  window: 8,
  more: 9,
};

function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer,
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(length, 0, 3);
  head.writeUInt8(type, 3);
  head.writeUInt8(flags, 4);
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}
const SETTINGS = frame(TYPES.settings, 0, 0, Buffer.alloc(0));
const number32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};

/** A header field of HPACK, without its tables (RFC 7541 §6.2.2); text below 127 bytes. */
const field = (name: string, value: string): Buffer =>
  Buffer.concat([Buffer.of(0, name.length), Buffer.from(name), Buffer.of(value.length), Buffer.from(value)]);
const callHeaders = (path: string, more: readonly (readonly [string, string])[] = []): Buffer =>
  Buffer.concat([
    ...[field(":method", "POST"), field(":scheme", "http"), field(":path", path), field(":authority", "x")],
    ...[field("content-type", "application/grpc"), field("te", "trailers")],
    ...more.map(([name, value]) => field(name, value)),
  ]);

const times = (count: number, make: (at: number) => Buffer): Buffer =>
  Buffer.concat(Array.from({ length: count }, (_, at) => make(at)));

/** Bytes for a connection, after which it is left as it is. */
export const CONNECTIONS: readonly ((dice: Dice, path: string) => Buffer)[] = [
  (dice) => noise(dice, 1 + dice(20_000)),
  (dice) => Buffer.concat([PREFACE, noise(dice, dice(5_000))]),
  (dice) => PREFACE.subarray(0, dice(PREFACE.length)),
  (dice) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      times(1 + dice(40), () => frame(dice(12), dice(256), dice(9), noise(dice, dice(64)))),
    ]),
  // A frame that says it is longer than it is, or longer than any may be.
  (dice) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      frame(dice(10), 0, 1, noise(dice, 20), oneOf(dice, [1 << 20, 0xffffff, 0])),
    ]),
  // Headers that never end (CONTINUATION flood).
  (dice, path) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      frame(TYPES.headers, 0, 1, callHeaders(path)),
      times(dice(2_000), (at) => frame(TYPES.more, 0, 1, field(`x${at}`, "y".repeat(100)))),
    ]),
  // Calls begun and reset at once (rapid reset).
  (dice, path) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      times(dice(2_000), (at) => {
        const stream = 2 * at + 1;
        const begun = frame(TYPES.headers, 4, stream, callHeaders(path));
        return Buffer.concat([begun, frame(TYPES.reset, 0, stream, number32(8))]);
      }),
    ]),
  (dice) =>
    Buffer.concat([PREFACE, SETTINGS, times(dice(10_000), () => frame(TYPES.ping, 0, 0, Buffer.alloc(8)))]),
  (dice) =>
    Buffer.concat([
      PREFACE,
      times(dice(10_000), () => frame(TYPES.settings, 0, 0, Buffer.of(0, 4, 0, 0, 0, 1))),
    ]),
  (dice) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      times(dice(100), () => frame(TYPES.window, 0, 0, number32(0x7fffffff))),
    ]),
  // Many calls open at once, none of which says anything.
  (dice, path) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      times(dice(500), (at) => frame(TYPES.headers, 4, 2 * at + 1, callHeaders(path))),
    ]),
  (dice, path) =>
    Buffer.concat([
      PREFACE,
      SETTINGS,
      frame(
        TYPES.headers,
        4,
        1,
        callHeaders(path, [
          ["grpc-timeout", oneOf(dice, ["1n", "99999999H", "-1S", "x", ""])],
          ["grpc-encoding", oneOf(dice, ["gzip", "identity", "x"])],
          ["grpc-accept-encoding", "x,".repeat(dice(50))],
          ["authorization", "Bearer ".concat("x".repeat(dice(100)))],
          [oneOf(dice, ["x-bin", "grpc-status", "Upper", ""]), "%%%"],
        ]),
      ),
      frame(TYPES.data, 1, 1, grpcMessage(dice, noise(dice, dice(100)))),
    ]),
  () => Buffer.from("GET / HTTP/1.1\r\nhost: x\r\n\r\n"),
  () => Buffer.from("16030100bb010000b70303", "hex"),
  () => Buffer.alloc(0),
];

/** Of a connection at its beginning, and of a frame (RFC 9113 §4.2, §6.9.2): more would only end the connection. */
const WINDOW_BYTES = 65_535;
const FRAME_BYTES = 16_384;

/** A connection with one call, as far as its window goes. */
export function callOf(path: string, messages: readonly Buffer[], ends: boolean): Buffer {
  const data = Buffer.concat(messages).subarray(0, WINDOW_BYTES);
  const frames = [frame(TYPES.headers, 4, 1, callHeaders(path))];
  for (let at = 0; at < data.length; at += FRAME_BYTES)
    frames.push(frame(TYPES.data, 0, 1, data.subarray(at, at + FRAME_BYTES)));
  if (ends) frames.push(frame(TYPES.data, 1, 1, Buffer.alloc(0)));
  return Buffer.concat([PREFACE, SETTINGS, ...frames]);
}

/** Whether an answer has an end of the call: its last frame, a reset, or a farewell to the connection. */
export function endsCall(received: Buffer): boolean {
  for (let at = 0; at + 9 <= received.length; at += 9 + received.readUIntBE(at, 3)) {
    const type = received.readUInt8(at + 3);
    const last = (received.readUInt8(at + 4) & 1) === 1;
    if (type === TYPES.reset || type === TYPES.goAway) return true;
    if (last && (type === TYPES.headers || type === TYPES.data)) return true;
  }
  return false;
}

/** Five bytes of frame and a message (gRPC over HTTP/2, "Length-Prefixed-Message"); mostly one that is true. */
export function grpcMessage(dice: Dice, message: Buffer): Buffer {
  const head = Buffer.alloc(5);
  head.writeUInt8(oneOf(dice, [0, 0, 0, 0, 1, 255]));
  head.writeUInt32BE(
    oneOf(dice, [message.length, message.length, message.length, 0xffffffff, 1 << 30, message.length + 1, 0]),
    1,
  );
  return Buffer.concat([head, message]);
}

/** What a hello looks like, with fields of any kind: see `shards/transport/handshake.ts`. */
const hello = (dice: Dice): unknown[] => {
  const good: unknown[] = [
    1,
    oneOf(dice, ["call", "messages", "snapshot", "x"]),
    "",
    2,
    1,
    "i",
    null,
    "h:1",
    noise(dice, 24),
  ];
  const at = dice(good.length + 3);
  if (at < good.length) good[at] = anything(dice, 3);
  return good;
};

function anything(dice: Dice, depth: number): unknown {
  const leaves = [
    null,
    true,
    0,
    -1,
    2 ** 53,
    1e308,
    Number.NaN,
    Infinity,
    "",
    "x".repeat(dice(5_000)),
    noise(dice, dice(50)),
  ];
  if (depth === 0 || dice(3) > 0) return oneOf(dice, leaves);
  if (dice(2) === 0) return Array.from({ length: dice(5) }, () => anything(dice, depth - 1));
  return { [oneOf(dice, ["a", "__proto__", "constructor", "then", ""])]: anything(dice, depth - 1) };
}

/** MessagePack that announces far more than it brings, or types that nobody here sends. */
const BOMBS = [
  "ddffffffff", // an array of 2^32 - 1
  "dd05f5e100", // an array of 10^8
  "dfffffffff", // a map of 2^32 - 1
  "dbffffffff", // a string of 2^32 - 1
  "c6ffffffff", // bytes of 2^32 - 1
  "c9ffffffff72", // an extension: records
  "d47240", // records again
  "d8625555555555555555555555555555555555", // bundled strings
  "c70c78a428612b292b24a0", // a regular expression
  "c70465a15b5d", // an error
  "d6691234567890", // a reference
  "d7ffffffffffffffffff", // a time far away
  "c1",
  "",
] as const;

export function peerMessage(dice: Dice): Buffer {
  switch (dice(6)) {
    case 0:
      return noise(dice, dice(300));
    case 1:
      return Buffer.concat([Buffer.from(oneOf(dice, BOMBS), "hex"), noise(dice, dice(20))]);
    case 2:
      return Buffer.alloc(1 + dice(60_000), 0x91); // arrays in arrays
    case 3:
      return Buffer.alloc(1 + dice(60_000), oneOf(dice, [0x81, 0xc0, 0xa1, 0xdd]));
    case 4:
      return pack(anything(dice, 4));
    default: {
      const bytes = pack(hello(dice));
      if (dice(3) === 0) bytes[dice(bytes.length)] = dice(256);
      return dice(5) === 0 ? bytes.subarray(0, dice(bytes.length)) : bytes;
    }
  }
}

/** Protobuf that is none, or nested and announced beyond all measure. */
export function protobufMessage(dice: Dice): Buffer {
  const key = (): number => ((1 + dice(8)) << 3) | oneOf(dice, [0, 1, 2, 2, 2, 3, 5, 7]);
  switch (dice(5)) {
    case 0:
      return noise(dice, dice(300));
    case 1:
      return Buffer.concat([
        Buffer.of(0x0a),
        Buffer.from("ffffffffffffffffff01", "hex"),
        noise(dice, dice(20)),
      ]);
    case 2:
      return times(1 + dice(1_000), () => Buffer.of(key(), dice(128), dice(256)));
    case 3:
      return Buffer.alloc(1 + dice(100_000), 0x0b); // groups in groups
    default: {
      let inner: Buffer = noise(dice, dice(20));
      for (let depth = dice(60); depth > 0; depth--)
        inner = Buffer.concat([Buffer.of(0x0a, Math.min(127, inner.length)), inner.subarray(0, 127)]);
      return inner;
    }
  }
}
