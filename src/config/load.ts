import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import type Yaml from "yaml";
import { distance } from "fastest-levenshtein";
import {
  OPTIONS,
  OPTION_NAMES,
  configOf,
  environmentName,
  type Config,
  type OptionName,
  type OptionValue,
} from "./options.ts";
import { parseValue } from "./values.ts";

/** A start that cannot happen as asked: one line for the operator, no stack. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

export interface ConfigSources {
  /** Values of the command line, by option name; absent: not given. */
  readonly flags: ReadonlyMap<OptionName, string | boolean>;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Path of the YAML file. */
  readonly file: string | null;
}

/** Flag, then environment, then file, then default. Throws {@link ConfigError}; `Always:` the result is within bounds. */
export function loadConfig(sources: ConfigSources): Config {
  const values = new Map<OptionName, OptionValue>();
  if (sources.file !== null) fromFile(sources.file, values);
  fromEnvironment(sources.environment, values);
  for (const [name, raw] of sources.flags) values.set(name, checked(name, raw, "on the command line"));
  const config = configOf(values);
  checkTogether(config);
  return config;
}

/** The known word closest to `unknown`, for "did you mean". */
export function nearest(unknown: string, known: readonly string[]): string {
  let best = "";
  let least = Infinity;
  for (const word of known) {
    const steps = distance(unknown.toLowerCase(), word.toLowerCase());
    if (steps < least) [best, least] = [word, steps];
  }
  return best;
}

function checked(name: OptionName, raw: unknown, where: string): OptionValue {
  const parsed = parseValue(OPTIONS[name], raw);
  if (parsed.kind === "value") return parsed.value;
  throw new ConfigError(`${name} ${where}: ${parsed.message}`);
}

function fromEnvironment(
  environment: ConfigSources["environment"],
  values: Map<OptionName, OptionValue>,
): void {
  const names = new Map(OPTION_NAMES.map((name) => [environmentName(name), name]));
  for (const [variable, raw] of Object.entries(environment)) {
    if (!variable.startsWith("FLOTILLA__") || raw === undefined) continue;
    const name = names.get(variable);
    if (name === undefined) {
      throw new ConfigError(
        `unknown environment variable ${variable}; the nearest one is ${nearest(variable, [...names.keys()])}`,
      );
    }
    values.set(name, checked(name, raw, `in ${variable}`));
  }
}

function fromFile(path: string, values: Map<OptionName, OptionValue>): void {
  const document = readYaml(path);
  for (const [section, body] of Object.entries(document)) {
    const sections = [...new Set(OPTION_NAMES.map((name) => name.slice(0, name.indexOf("."))))];
    if (!sections.includes(section)) {
      throw new ConfigError(
        `unknown section ${section} in ${path}; the nearest one is ${nearest(section, sections)}`,
      );
    }
    if (!isMapping(body)) throw new ConfigError(`section ${section} in ${path} must hold keys and values`);
    for (const [key, raw] of Object.entries(body)) {
      const name = OPTION_NAMES.find((known) => known === `${section}.${key}`);
      if (name === undefined) {
        throw new ConfigError(
          `unknown option ${section}.${key} in ${path}; the nearest one is ${nearest(`${section}.${key}`, OPTION_NAMES)}`,
        );
      }
      values.set(name, checked(name, raw, `in ${path}`));
    }
  }
}

function readYaml(path: string): Record<string, unknown> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new ConfigError(`the configuration file ${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  let document: unknown;
  // Read when it is wanted: most starts have no file, and each pays for what it loads.
  const { parse } = createRequire(import.meta.url)("yaml") as typeof Yaml;
  try {
    document = parse(text);
  } catch (cause) {
    const [first] = messageOf(cause).split("\n");
    throw new ConfigError(`${path} is not YAML: ${first}`, { cause });
  }
  if (document === null) return {};
  if (!isMapping(document)) throw new ConfigError(`${path} must hold sections with keys and values`);
  return document;
}

function checkTogether(config: Config): void {
  const { heartbeatTicks, electionTicks } = config.raft;
  if (electionTicks < 3 * heartbeatTicks) {
    throw new ConfigError(
      `raft.election_ticks is ${electionTicks}, which is less than 3 times raft.heartbeat_ticks (${heartbeatTicks}): ` +
        "one late heartbeat would start an election",
    );
  }
  const { keepBytes, compactBytes } = config.raft;
  if (keepBytes > compactBytes) {
    throw new ConfigError(
      `raft.keep_bytes is ${keepBytes}, which is more than raft.compact_bytes (${compactBytes})`,
    );
  }
  const { deadlineMs, deadlineMaxMs } = config.http;
  // A connection is cut that was silent for longer than any request may take.
  if (deadlineMs > deadlineMaxMs) {
    throw new ConfigError(
      `http.deadline_ms is ${deadlineMs}, which is more than http.deadline_max_ms (${deadlineMaxMs})`,
    );
  }
  const { auth, tls, audit } = config;
  const keyed =
    auth.apiKey ?? auth.altApiKey ?? auth.readOnlyApiKey ?? auth.jwtPublicKeyFile ?? auth.jwtJwksFile;
  if ((tls.certFile === null) !== (tls.keyFile === null))
    throw new ConfigError("tls.cert_file and tls.key_file belong together: set both or none");
  if (tls.verifyClients && (tls.caFile === null || tls.certFile === null))
    throw new ConfigError("tls.verify_clients needs tls.cert_file, tls.key_file and tls.ca_file");
  if (tls.peerCaFile !== null && tls.certFile === null)
    throw new ConfigError(
      "tls.peer_ca_file needs tls.cert_file and tls.key_file: a node shows its own certificate too",
    );
  if (audit.required && audit.path === null)
    throw new ConfigError("audit.required is set and audit.path is not: there is nothing to write to");
  const { grpc, peer } = addressesOf(config);
  // Clients are served on both: a key that guards one of them has to guard the other.
  const served = [
    ["http.addr", config.http.addr],
    ["grpc.addr", grpc],
  ] as const;
  const exposed = served.find(([, address]) => !isLoopback(address));
  if (keyed === null && !config.auth.insecure && exposed !== undefined) {
    throw new ConfigError(
      `${exposed.join(" ")} is open to other machines and no API key is set: ` +
        "set auth.api_key (--api-key), bind 127.0.0.1, or say --insecure",
    );
  }
  const open = isLoopback(peer) ? (isLoopback(grpc) ? null : grpc) : peer;
  if (config.cluster.secret === null && !config.auth.insecure && open !== null) {
    throw new ConfigError(
      `${open} is open to other machines and nodes could not tell each other from strangers: ` +
        "set cluster.secret (--cluster-secret), bind 127.0.0.1, or say --insecure",
    );
  }
  const joins = joinAddresses(config).length;
  if (config.cluster.bootstrapExpect > 1 && joins + 1 < config.cluster.bootstrapExpect) {
    throw new ConfigError(
      `cluster.bootstrap_expect is ${config.cluster.bootstrapExpect}, so cluster.join must name at least ` +
        `${config.cluster.bootstrapExpect - 1} other nodes, not ${joins}`,
    );
  }
}

/** Where the three ports are, with what is unset derived from `http.addr`. */
export function addressesOf(config: Config): {
  readonly http: string;
  readonly grpc: string;
  readonly peer: string;
} {
  const { addr } = config.http;
  const colon = addr.lastIndexOf(":");
  const port = Number(addr.slice(colon + 1));
  const beside = (step: number): string =>
    `${addr.slice(0, colon)}:${port === 0 ? 0 : Math.min(65_535, port + step)}`;
  return { http: addr, grpc: config.grpc.addr ?? beside(1), peer: config.cluster.peerAddr ?? beside(2) };
}

/** Members to ask, from `cluster.join`; throws {@link ConfigError}. */
export function joinAddresses(config: Config): readonly string[] {
  const { join } = config.cluster;
  if (join === null) return [];
  return join.split(",").map((part) => {
    const address = part.trim();
    if (/^(?:\[[0-9a-fA-F:.]+\]|[^\s:[\]]+):\d{1,5}$/.test(address)) return address;
    throw new ConfigError(`cluster.join names ${JSON.stringify(part)}, which is not HOST:PORT`);
  });
}

/** Host and port of HOST:PORT; brackets around IPv6 are taken off. */
export function splitAddress(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(":");
  return { host: address.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(address.slice(colon + 1)) };
}

function isLoopback(address: string): boolean {
  const { host } = splitAddress(address);
  return host === "localhost" || host === "::1" || /^127\.\d+\.\d+\.\d+$/.test(host);
}

function isMapping(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
