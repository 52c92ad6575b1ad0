/** The gRPC port: clients, and the other nodes' requests. */
import { Server, ServerCredentials, type ServerInterceptor } from "@grpc/grpc-js";

export interface GrpcServer {
  /** `host:port`, with the port that was bound. */
  readonly address: string;
  /** Takes no new calls, waits up to `drainMs` for those in flight, then cuts what is left. */
  close(options: { readonly drainMs: number }): Promise<void>;
}

export interface ServeGrpcOptions {
  readonly host: string;
  readonly port: number;
  /** Largest message in either direction, in bytes. */
  readonly messageBytesMax: number;
  /** Each sees every call before anything of its message is read. */
  readonly interceptors?: readonly ServerInterceptor[];
  /** Each adds its service. */
  readonly services: readonly ((server: Server) => void)[];
}

/** Resolves when it listens; rejects with the system's words (EADDRINUSE, ...) when it cannot. */
export async function serveGrpc({
  host,
  port,
  messageBytesMax,
  interceptors = [],
  services,
}: ServeGrpcOptions): Promise<GrpcServer> {
  const server = new Server({
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
    interceptors: [...interceptors],
  });
  for (const add of services) add(server);
  const name = host.includes(":") ? `[${host}]` : host;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${name}:${port}`, ServerCredentials.createInsecure(), (error, at) =>
      error === null ? resolve(at) : reject(error),
    );
  });
  return {
    address: `${name}:${bound}`,
    async close({ drainMs }) {
      await new Promise<void>((resolve) => {
        const late = setTimeout(() => {
          server.forceShutdown();
          resolve();
        }, drainMs);
        server.tryShutdown(() => {
          clearTimeout(late);
          resolve();
        });
      });
    },
  };
}
