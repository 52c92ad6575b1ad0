/** Health and reflection, as the tools that speak them see a server. */
import { Client, credentials, Metadata, type ClientReadableStream, type StatusObject } from "@grpc/grpc-js";
import { loadSync, type MethodDefinition, type ServiceDefinition } from "@grpc/proto-loader";
import { once } from "node:events";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { service as HEALTH } from "grpc-health-check";
import { describe, expect, test } from "vitest";
import { plain, startGrpc, type Grpc } from "../support/grpc.ts";

const require = createRequire(import.meta.url);
const reflectionProtos = join(
  dirname(require.resolve("@grpc/reflection/package.json")),
  "build/proto/grpc/reflection",
);

type Method = MethodDefinition<object, object>;
const health = HEALTH as Readonly<Record<"Check" | "Watch" | "List", Method>>;

function client(grpc: Grpc): Client & Disposable {
  const made = new Client(grpc.server.address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  return Object.assign(made, { [Symbol.dispose]: () => made.close() });
}

function ask(
  grpc: Grpc,
  { path, requestSerialize, responseDeserialize }: Method,
  request: object,
): Promise<object> {
  const made = client(grpc);
  return new Promise<object>((resolve) => {
    made.makeUnaryRequest(path, requestSerialize, responseDeserialize, request, (error, answer) =>
      resolve(error === null ? (answer ?? {}) : { code: error.code, details: error.details }),
    );
  }).finally(() => made.close());
}

describe("health", () => {
  test("follows readiness, of the server and of each service, for anybody", async () => {
    await using grpc = await startGrpc({ keys: { apiKey: "k" } });
    for (const service of ["", "flotilla.v1.Points", "flotilla.v1.Collections", "flotilla.v1.Cluster"]) {
      grpc.cluster.setReady(true);
      expect(await ask(grpc, health.Check, { service })).toEqual({ status: "SERVING" });
      grpc.cluster.setReady(false);
      expect(await ask(grpc, health.Check, { service })).toEqual({ status: "NOT_SERVING" });
    }
    expect(await ask(grpc, health.Check, { service: "other" })).toMatchObject({ code: 5 });
    const { statuses } = (await ask(grpc, health.List, {})) as { readonly statuses: object };
    expect(Object.keys(statuses)).toHaveLength(4);
  });

  test("tells those who watch, and lets go of them when the server ends", async () => {
    await using grpc = await startGrpc();
    using made = client(grpc);
    const { path, requestSerialize, responseDeserialize } = health.Watch;
    const watch: ClientReadableStream<object> = made.makeServerStreamRequest(
      path,
      requestSerialize,
      responseDeserialize,
      { service: "" },
    );
    const told = async (): Promise<unknown> => ((await once(watch, "data")) as readonly unknown[])[0];
    expect(await told()).toEqual({ status: "SERVING" });
    grpc.cluster.setReady(false);
    // Whoever asks makes it known to whoever watches.
    const next = told();
    await ask(grpc, health.Check, { service: "" });
    expect(await next).toEqual({ status: "NOT_SERVING" });
    const end = once(watch, "end");
    grpc.api[Symbol.dispose]();
    await grpc.server.close({ drainMs: 60_000 });
    await end;
  });
});

describe.each(["v1", "v1alpha"])("reflection %s", (version) => {
  const file = join(reflectionProtos, version, "reflection.proto");
  const service = loadSync(file)[`grpc.reflection.${version}.ServerReflection`] as ServiceDefinition;
  const { path, requestSerialize, responseDeserialize } = Object.values(service)[0] as Method;

  async function reflect(grpc: Grpc, request: object, metadata = new Metadata()): Promise<unknown> {
    using made = client(grpc);
    const stream = made.makeBidiStreamRequest(path, requestSerialize, responseDeserialize, metadata);
    stream.write(request);
    stream.end();
    const status = new Promise<StatusObject>((resolve) => stream.on("status", resolve));
    const answers: unknown[] = [];
    stream.on("data", (answer) => answers.push(answer));
    stream.on("error", () => undefined);
    const { code } = plain(await status);
    return code === "OK" ? answers[0] : code;
  }

  test("lists the services, and describes them", async () => {
    await using grpc = await startGrpc();
    const listed = (await reflect(grpc, { listServices: "*" })) as {
      readonly listServicesResponse: { readonly service: readonly { readonly name: string }[] };
    };
    const names = listed.listServicesResponse.service.map(({ name }) => name);
    expect(names.sort()).toEqual(["flotilla.v1.Cluster", "flotilla.v1.Collections", "flotilla.v1.Points"]);
    const found = (await reflect(grpc, { fileContainingSymbol: "flotilla.v1.SearchRequest" })) as {
      readonly fileDescriptorResponse: { readonly fileDescriptorProto: readonly Buffer[] };
    };
    const described = Buffer.concat(found.fileDescriptorResponse.fileDescriptorProto).toString("latin1");
    expect(described).toContain("score_threshold");
    expect(described).toContain("UpsertStream");
  });

  test("is for those who may know what there is", async () => {
    await using grpc = await startGrpc({ keys: { apiKey: "k", readOnlyApiKey: "r" } });
    expect(await reflect(grpc, { listServices: "" })).toBe("UNAUTHENTICATED");
    const metadata = new Metadata();
    metadata.set("api-key", "r");
    expect(await reflect(grpc, { listServices: "" }, metadata)).toHaveProperty("listServicesResponse");
  });
});
