/** Bytes on a socket, for requests that no client would send. */
import { connect, type Socket } from "node:net";

export interface RawConnection {
  readonly socket: Socket;
  send(bytes: string | Uint8Array): void;
  /** Resolves with everything received as soon as it matches. */
  until(pattern: RegExp): Promise<string>;
  /** Everything received, once the other side has closed the connection. */
  readonly closed: Promise<string>;
}

export function rawConnection(url: string): RawConnection {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname).setEncoding("utf8");
  let received = "";
  const waiting = new Set<{ readonly pattern: RegExp; resolve(text: string): void }>();
  const look = (): void => {
    for (const one of waiting) {
      if (!one.pattern.test(received)) continue;
      waiting.delete(one);
      one.resolve(received);
    }
  };
  socket.on("data", (text: string) => {
    received += text;
    look();
  });
  const closed = new Promise<string>((resolve) => {
    socket.on("error", (error) => (received += `[${error.message}]`));
    socket.on("close", () => resolve(received));
  });
  return {
    socket,
    send: (bytes) => void socket.write(bytes),
    until(pattern) {
      return new Promise((resolve) => {
        waiting.add({ pattern, resolve });
        look();
      });
    },
    closed,
  };
}
