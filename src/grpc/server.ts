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
  /** Default: no TLS. */
  readonly credentials?: ServerCredentials;
}

/**
 * A connection that does not answer a ping is cut: without it one that broke off in the middle of a frame stays open
 * here for ever. And no single connection may hold more open calls than a busy node needs for forwarding.
 */
const KEEPALIVE = { everyMs: 10_000, answerWithinMs: 5_000 } as const;
const CALLS_PER_CONNECTION = 4_096;

/** Resolves when it listens; rejects with the system's words (EADDRINUSE, ...) when it cannot. */
export async function serveGrpc({
  host,
  port,
  messageBytesMax,
  interceptors = [],
  services,
  credentials = ServerCredentials.createInsecure(),
}: ServeGrpcOptions): Promise<GrpcServer> {
  const server = new Server({
    "grpc.max_receive_message_length": messageBytesMax,
    "grpc.max_send_message_length": messageBytesMax,
    interceptors: [...interceptors],
    "grpc.keepalive_time_ms": KEEPALIVE.everyMs,
    "grpc.keepalive_timeout_ms": KEEPALIVE.answerWithinMs,
    "grpc.max_concurrent_streams": CALLS_PER_CONNECTION,
  });
  for (const add of services) add(server);
  const name = host.includes(":") ? `[${host}]` : host;
  const bound = await new Promise<number>((resolve, reject) => {
    server.bindAsync(`${name}:${port}`, credentials, (error, at) =>
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
