/** What stands on a socket where a request should: each must be answered or cut off, in time, and never with a 500. */
import { connect } from "node:net";
import { diceOf, oneOf, type Dice } from "../../e2e/cluster/support/dice.ts";
import { ANSWER_WITHIN_MS, type Subject } from "./subject.ts";
import { within } from "./rounds.ts";

const HOST = "host: x\r\n";
const JSON_TYPE = "content-type: application/json\r\n";
const head = (line: string, headers = ""): string => `${line} HTTP/1.1\r\n${HOST}${headers}\r\n`;
const POST = "POST /collections/kept/points/count";
const chunked = (chunks: string): string => head(POST, `${JSON_TYPE}transfer-encoding: chunked\r\n`) + chunks;

/** Bytes to send; each may be cut short by the dice. */
const ATTACKS: readonly ((dice: Dice) => string | Buffer)[] = [
  (dice) => noise(dice, 1 + dice(20_000)),
  (dice) =>
    chunked(
      oneOf(dice, ["zz\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "5\r\n{}\r\n", "2\r\n{}", "2\r\n{}\r\n"]),
    ),
  (dice) => chunked(`2;${"x".repeat(1 + dice(40_000))}\r\n{}\r\n0\r\n\r\n`),
  (dice) => chunked(`2\r\n{}\r\n0\r\n${"trailer: x\r\n".repeat(dice(3_000))}\r\n`),
  (dice) => chunked("1\r\n \r\n".repeat(dice(5_000))),
  (dice) => head("GET /healthz", Array.from({ length: dice(5_000) }, (_, i) => `h${i}: x\r\n`).join("")),
  (dice) => head("GET /healthz", `long: ${"x".repeat(dice(100_000))}\r\n`),
  (dice) => head("GET /healthz", `${oneOf(dice, ["a b", "", "\u0000", "a\nb", ":", "\u00ff"])}: x\r\n`),
  (dice) => head(`GET /${"x".repeat(dice(30_000))}`),
  (dice) =>
    head(
      `GET /${oneOf(dice, ["%", "%zz", "%00", "..%2f..%2f", "%ff%fe", "\u0000", " ", "#", "?", "??=&&=%"])}`,
    ),
  (dice) =>
    head(
      oneOf(dice, [
        "TRACE /",
        "CONNECT x:1",
        "OPTIONS *",
        "BREW /",
        "get /",
        "PRI *",
        "GET http://x/healthz",
      ]),
    ),
  (dice) =>
    head(
      POST,
      `${JSON_TYPE}content-length: ${oneOf(dice, ["-1", "1e3", "99999999999999999999", "2, 2", "+2", "0x2"])}\r\n`,
    ),
  () => `${head(POST, `${JSON_TYPE}content-length: 2\r\ncontent-length: 3\r\n`)}{} `,
  () => `${head(POST, `${JSON_TYPE}content-length: 2\r\ntransfer-encoding: chunked\r\n`)}0\r\n\r\n`,
  () => `${head(POST, `${JSON_TYPE}transfer-encoding: gzip, chunked\r\n`)}0\r\n\r\n`,
  (dice) => head(POST, `${JSON_TYPE}content-length: ${1 + dice(33_554_432)}\r\n`) + "{",
  (dice) =>
    head(POST, `${JSON_TYPE}content-length: 2\r\nexpect: ${oneOf(dice, ["100-continue", "x"])}\r\n`) + "{}",
  (dice) => head("GET /healthz").repeat(1 + dice(200)),
  () => head("GET /", "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: eA==\r\n"),
  () => head("GET /", "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n"),
  () => "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u0004\0\0\0\0\0",
  () => Buffer.from("16030100bb010000b70303", "hex"),
  () => "GET /healthz\r\n\r\n",
  () => `GET /healthz HTTP/9.9\r\n${HOST}\r\n`,
  () => "GET /healthz HTTP/1.1\r\n\r\n",
];

function noise(dice: Dice, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => dice(256)));
}

/** One wave of connections, all open at once. */
export async function brokenConnections(subject: Subject, seed: number): Promise<void> {
  const dice = diceOf(seed);
  await Promise.all(
    Array.from({ length: 60 }, async (_, at) => {
      const attack = ATTACKS[at % ATTACKS.length] ?? oneOf(dice, ATTACKS);
      const whole = Buffer.from(attack(dice));
      const bytes = dice(4) === 0 ? whole.subarray(0, dice(whole.length + 1)) : whole;
      const received = await within(
        ANSWER_WITHIN_MS,
        `an end of the connection that sent ${JSON.stringify(bytes.toString("latin1").slice(0, 200))}`,
        talk(subject.port("http"), bytes),
      );
      for (const [, status] of received.matchAll(/HTTP\/1\.1 (\d{3})/g))
        if (Number(status) >= 500 && status !== "503")
          throw new Error(`${status} for ${JSON.stringify(bytes.toString("latin1").slice(0, 500))}`);
    }),
  );
}

/** Everything received until the other side closes. */
async function talk(port: number, bytes: Buffer): Promise<string> {
  return await new Promise((resolve) => {
    let received = "";
    const socket = connect(port, "127.0.0.1", () => socket.write(bytes)).setEncoding("latin1");
    socket.on("data", (text: string) => (received += text));
    socket.on("error", (error) => (received += `[${error.message}]`));
    socket.on("close", () => resolve(received));
  });
}
