/** Ports by the options that name them. */
import { once } from "node:events";
import { createServer, type Server } from "node:net";
import { ConfigError, splitAddress } from "./config/load.ts";
import { flagOf, type OptionName } from "./config/options.ts";

/** Binds a port, or says which option names the one that cannot be bound. */
export async function named<T>(option: OptionName, address: string, bind: () => Promise<T>): Promise<T> {
  try {
    return await bind();
  } catch (cause) {
    const text =
      cause instanceof Error ? `${"code" in cause ? String(cause.code) : ""} ${cause.message}` : "";
    const code = Object.keys(ADDRESS_TROUBLE).find((known) => text.includes(known));
    if (code === undefined) throw cause;
    throw new ConfigError(`${option} ${address} ${ADDRESS_TROUBLE[code]}; choose another ${flagOf(option)}`, {
      cause,
    });
  }
}

const ADDRESS_TROUBLE: Readonly<Record<string, string>> = {
  EADDRINUSE: "is taken by another process",
  EACCES: "may not be used by this user",
  EADDRNOTAVAIL: "is not an address of this machine",
  ENOTFOUND: "names no known host",
};

/** By option. Throws {@link ConfigError} unless all of them can be bound, side by side; none is afterwards. */
export async function checkFree(addresses: Readonly<Partial<Record<OptionName, string>>>): Promise<void> {
  const bound: Server[] = [];
  try {
    for (const [option, address] of Object.entries(addresses) as [OptionName, string][]) {
      const server = createServer((socket) => socket.destroy());
      await named(option, address, () => once(server.listen(splitAddress(address)), "listening"));
      bound.push(server);
    }
  } finally {
    await Promise.all(bound.map((server) => once(server.close(), "close")));
  }
}
