/** Every method of the table times every kind of credential; and that a refusal comes before the message is read. */
import { status as STATUS } from "@grpc/grpc-js";
import { once } from "node:events";
import { connect, constants, type IncomingHttpHeaders } from "node:http2";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { limits } from "../../src/api/limits.ts";
import { methods } from "../../src/grpc/methods.ts";
import { NOW, token, tokens } from "../auth/support.ts";
import { definitionOf, ended, startGrpc, type Grpc, type GrpcAnswer } from "../support/grpc.ts";

const table = methods(limits());
const KEYS = { apiKey: "manage", altApiKey: "manage-2", readOnlyApiKey: "read" };
/** The collection of every request. */
const on = (collection: string, access: string) => token({ access: [{ collection, access }] });

// Written out here, so that the rules in the code are not checked against themselves.
const NOTHING = { collection: "", cluster: "" };
const READS = { collection: "list read", cluster: "list read" };
const ALL = { collection: "list read write configure manage", cluster: "list read write configure manage" };
const CREDENTIALS = [
  { name: "no key", key: null, may: NOTHING, otherwise: "UNAUTHENTICATED" },
  { name: "a wrong key", key: "wrong", may: NOTHING, otherwise: "UNAUTHENTICATED" },
  { name: "the read-only key", key: "read", may: READS, otherwise: "PERMISSION_DENIED" },
  { name: "the key", key: "manage", may: ALL, otherwise: "" },
  { name: "the second key", key: "manage-2", may: ALL, otherwise: "" },
  { name: "a token to manage", key: token({ access: "m" }), may: ALL, otherwise: "" },
  { name: "a token to read", key: token({ access: "r" }), may: READS, otherwise: "PERMISSION_DENIED" },
  { name: "a token without access", key: token({ sub: "x" }), may: NOTHING, otherwise: "PERMISSION_DENIED" },
  {
    name: "a token with empty access",
    key: token({ access: [] }),
    may: NOTHING,
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "a token to read this collection",
    key: on("c", "r"),
    may: { collection: "list read", cluster: "list" },
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "a token for the points of this collection",
    key: on("c", "prw"),
    may: { collection: "list read write", cluster: "list" },
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "a token for this collection",
    key: on("c", "rw"),
    may: { collection: "list read write configure", cluster: "list" },
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "a token for every collection",
    key: on("*", "rw"),
    may: { collection: "list read write configure", cluster: "list" },
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "a token for another collection",
    key: on("cc", "rw"),
    may: { collection: "", cluster: "list" },
    otherwise: "PERMISSION_DENIED",
  },
  {
    name: "an expired token",
    key: token({ exp: NOW - 60, access: "m" }),
    may: NOTHING,
    otherwise: "UNAUTHENTICATED",
  },
  {
    name: "a forged token",
    key: token({ access: "m" }, "guess"),
    may: NOTHING,
    otherwise: "UNAUTHENTICATED",
  },
] as const;

let grpc: Grpc;
beforeAll(async () => {
  grpc = await startGrpc({ keys: KEYS, tokens: tokens().tokens });
});
afterAll(() => grpc[Symbol.asyncDispose]());

/** About the collection `c`, with a field 99 that no message has: whoever reads on says so, or that 1 is no text. */
const UNREADABLE = Buffer.from([0x0a, 1, 0x63, 0x9a, 6, 0]);
const READ = ["UNIMPLEMENTED", "INVALID_ARGUMENT"];

async function send(
  path: string,
  streams: boolean,
  metadata: Record<string, string>,
): Promise<GrpcAnswer["code"]> {
  if (!streams) return (await grpc.client.raw(path, UNREADABLE, { metadata })).code;
  const stream = grpc.client.stream(path, { metadata });
  const end = ended(stream);
  stream.write({ collection: "c" });
  stream.end();
  return (await end).code;
}

test("the table has every method of the .proto files' services, each with a rule that is written down here", () => {
  const rules = table.map(({ path, rule }) => `${path.slice(13)} ${rule.action} ${rule.on}`);
  expect(rules).toEqual([
    ...["Upsert", "UpsertStream", "Delete", "UpdateVectors", "SetPayload", "OverwritePayload"].map(
      (name) => `Points/${name} write collection`,
    ),
    ...["DeletePayload", "ClearPayload", "Batch"].map((name) => `Points/${name} write collection`),
    ...["Get", "Retrieve", "Scroll", "Count", "Search", "SearchBatch"].map(
      (name) => `Points/${name} read collection`,
    ),
    "Collections/List list cluster",
    "Collections/Get read collection",
    "Collections/Exists read collection",
    "Collections/Create manage collection",
    "Collections/Update configure collection",
    "Collections/Delete manage collection",
    "Collections/ListAliases list cluster",
    "Collections/GetAliases read collection",
    "Collections/ChangeAliases manage cluster",
    "Cluster/ListNodes read cluster",
    "Cluster/RemoveNode manage cluster",
    "Cluster/GetLeader read cluster",
    "Cluster/ListShards read collection",
    "Cluster/GetShard read collection",
    ...["AddVoter", "RemoveVoter", "MoveReplica", "TransferLeader", "RestartReplica"].map(
      (name) => `Cluster/${name} manage cluster`,
    ),
    "Cluster/GetStatus read cluster",
  ]);
});

describe.each(CREDENTIALS)("with $name", ({ key, may, otherwise }) => {
  test.each(table.map((method) => [method.path, method] as const))("%s", async (path, { rule, streams }) => {
    const allowed = may[rule.on].split(" ").includes(rule.action);
    for (const metadata of key === null ? [{}] : [{ "api-key": key }, { authorization: `Bearer ${key}` }]) {
      const code = await send(path, streams, metadata);
      // Who is allowed gets as far as the message, which nobody can read.
      if (!allowed) expect(code).toBe(otherwise);
      else expect(streams ? ["NOT_FOUND"] : READ).toContain(code);
    }
  });
});

test("without keys anybody may do everything", async () => {
  await using open = await startGrpc();
  for (const { path, streams } of table)
    if (!streams) expect(READ).toContain((await open.client.raw(path, UNREADABLE)).code);
});

/** Sends the head of a call and never its message. */
async function headOnly(path: string, headers: Record<string, string>): Promise<string | undefined> {
  const session = connect(`http://${grpc.server.address}`);
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": path,
      "content-type": "application/grpc",
      te: "trailers",
      ...headers,
    });
    const [answer] = (await once(stream, "response")) as [IncomingHttpHeaders];
    return STATUS[Number(answer["grpc-status"])];
  } finally {
    session.destroy();
  }
}

test("refusals are counted with the other calls", async () => {
  await headOnly("/flotilla.v1.Points/Search", {});
  expect(grpc.observed.at(-1)).toMatchObject({ route: "/flotilla.v1.Points/Search", status: 401 });
});

test.each(table.map(({ path }) => path))(
  "%s: a stranger is refused although the message never comes",
  async (path) => {
    expect(await headOnly(path, {})).toBe("UNAUTHENTICATED");
    expect(await headOnly(path, { "api-key": "wrong" })).toBe("UNAUTHENTICATED");
    expect(await headOnly(path, { authorization: `Bearer ${token({ sub: "x" })}` })).toBe(
      "PERMISSION_DENIED",
    );
  },
);

test.each(["Check", "List", "Watch"])(
  "Health/%s is for anybody, and takes no more of a stranger than it can mean",
  async (name) => {
    const session = connect(`http://${grpc.server.address}`);
    try {
      const stream = session.request({
        ":method": "POST",
        ":path": `/grpc.health.v1.Health/${name}`,
        "content-type": "application/grpc",
        te: "trailers",
      });
      stream.on("error", () => undefined);
      const end = new Promise((resolve) => stream.on("close", resolve));
      const prefix = Buffer.alloc(5);
      prefix.writeUInt32BE(100 * 2 ** 20, 1);
      stream.write(prefix);
      await end;
      expect(stream.rstCode).toBe(constants.NGHTTP2_ENHANCE_YOUR_CALM);
    } finally {
      session.destroy();
    }
  },
);

test("the permission is for the collection that is written, also when it is named twice", async () => {
  const both = (first: string, second: string): Buffer =>
    Buffer.concat(
      [first, second].map((name) =>
        definitionOf("/flotilla.v1.Points/Count").requestSerialize({ collection: name }),
      ),
    );
  const metadata = { "api-key": on("mine", "rw") };
  const answer = await grpc.client.raw("Points/Count", both("mine", "other"), { metadata });
  expect([answer.code, answer.details]).toEqual([
    "PERMISSION_DENIED",
    "Forbidden: this token may not read collection `other`",
  ]);
  expect((await grpc.client.raw("Points/Count", both("other", "mine"), { metadata })).code).toBe("NOT_FOUND");
});

test("each message of a stream needs its own permission", async () => {
  const metadata = { "api-key": "manage" };
  await grpc.call(
    "Collections/Create",
    { collection: "mine", dimension: 1, distance: "DISTANCE_DOT" },
    { metadata },
  );
  const stream = grpc.client.stream("Points/UpsertStream", { metadata: { "api-key": on("mine", "prw") } });
  const end = ended(stream);
  const answers: unknown[] = [];
  stream.on("data", (answer) => answers.push(answer));
  for (const collection of ["mine", "other", "mine"])
    stream.write({ collection, points: [{ id: { num: answers.length }, vector: [1] }] });
  expect(await end).toMatchObject({
    code: "PERMISSION_DENIED",
    details: "Forbidden: this token may not write collection `other`",
  });
  expect(answers).toEqual([{ message: 1, indexes: [{ index: 1 }] }]);
});

test("a stream does not outlive the token it was opened with", async () => {
  const { tokens: known, clock } = tokens();
  await using own = await startGrpc({ keys: KEYS, tokens: known });
  await own.call(
    "Collections/Create",
    { collection: "mine", dimension: 1, distance: "DISTANCE_DOT" },
    { metadata: { "api-key": "manage" } },
  );
  const access = [{ collection: "mine", access: "prw" }];
  const stream = own.client.stream("Points/UpsertStream", {
    metadata: { "api-key": token({ access, exp: NOW + 60 }) },
  });
  const end = ended(stream);
  const write = (num: number) => stream.write({ collection: "mine", points: [{ id: { num }, vector: [1] }] });
  write(1);
  expect((await once(stream, "data"))[0]).toMatchObject({ message: 1 });
  clock.nowMs += 120_000;
  write(2);
  stream.resume().end();
  expect(await end).toMatchObject({
    code: "UNAUTHENTICATED",
    details: "Invalid token: it has expired",
  });
});

test("fewer replicas need more than the right to configure the collection", async () => {
  const metadata = { "api-key": on("mine", "rw") };
  const change = (request: object) =>
    grpc.call("Collections/Update", { collection: "mine", ...request }, { metadata });
  expect((await change({ metadataJson: '{"a":1}' })).code).toBe("OK");
  expect((await change({ replicationFactor: 1 })).code).toBe("PERMISSION_DENIED");
});

test("of a key and a bearer the key counts, as over REST", async () => {
  const metadata = { "api-key": "read", authorization: "Bearer manage" };
  expect((await grpc.call("Collections/Delete", { collection: "mine" }, { metadata })).code).toBe(
    "PERMISSION_DENIED",
  );
});
