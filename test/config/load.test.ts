import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { loadConfig, nearest, splitAddress } from "../../src/config/load.ts";
import {
  OPTIONS,
  OPTION_NAMES,
  environmentName,
  flagOf,
  type OptionName,
  type OptionRow,
} from "../../src/config/options.ts";
import { parseValue } from "../../src/config/values.ts";
import { temporaryDirectory } from "../e2e/support/node-process.ts";

interface Given {
  readonly flags?: readonly (readonly [OptionName, string | boolean])[];
  readonly env?: Record<string, string>;
  readonly yaml?: string;
}

function load({ flags = [], env = {}, yaml }: Given) {
  using directory = temporaryDirectory();
  const file = yaml === undefined ? null : join(directory.path, "f.yaml");
  if (file !== null) writeFileSync(file, yaml ?? "");
  return loadConfig({ flags: new Map(flags), environment: env, file });
}

describe("precedence", () => {
  const yaml = "limits:\n  body_bytes: 65536\n";
  const env = { FLOTILLA__LIMITS__BODY_BYTES: "131072" };

  test("a default holds where nothing else is said", () => {
    expect(load({}).limits.bodyBytes).toBe(32 * 1024 * 1024);
  });
  test("the file is over the default", () => {
    expect(load({ yaml }).limits.bodyBytes).toBe(65536);
  });
  test("the environment is over the file", () => {
    expect(load({ yaml, env }).limits.bodyBytes).toBe(131072);
  });
  test("a flag is over the environment", () => {
    expect(load({ yaml, env, flags: [["limits.body_bytes", "256KiB"]] }).limits.bodyBytes).toBe(262_144);
  });
});

describe("what is not known is an error that names the nearest", () => {
  test("an option of the file", () => {
    expect(() => load({ yaml: "limits:\n  body_byte: 1\n" })).toThrow(
      /unknown option limits\.body_byte in .*nearest one is limits\.body_bytes$/,
    );
  });
  test("a section of the file", () => {
    expect(() => load({ yaml: "limit:\n  id_bytes: 1\n" })).toThrow(
      /unknown section limit .*nearest one is limits$/,
    );
  });
  test("a variable of the environment, while others' variables are left alone", () => {
    expect(() => load({ env: { FLOTILLA__LIMITS__BODYBYTES: "1" } })).toThrow(
      /FLOTILLA__LIMITS__BODYBYTES; the nearest one is FLOTILLA__LIMITS__BODY_BYTES$/,
    );
    expect(load({ env: { FLOTILLA_PORTABLE: "1", PATH: "/bin" } }).limits.searchHits).toBe(10_000);
  });
});

describe("a bad value names option, value and bounds", () => {
  test.each([
    [
      "limits.body_bytes",
      "12",
      /limits\.body_bytes on the command line: "12" is not .* 65536 to 536870912 bytes/,
    ],
    ["limits.search_hits", "1.5", /"1.5" is not a whole number from 1 to 100000 hits/],
    ["limits.search_hits", "many", /"many" is not a whole number/],
    ["engine.tombstone_ratio", "2", /"2" is not a number from 0.01 to 0.9/],
    ["http.addr", "localhost", /"localhost" is not HOST:PORT/],
    ["http.addr", "127.0.0.1:70000", /HOST:PORT with a port from 0 to 65535/],
    ["logging.level", "loud", /one of trace, debug, info/],
    ["auth.insecure", "maybe", /true or false/],
  ] as const)("%s = %s", (name, value, message) => {
    expect(() => load({ flags: [[name, value]] })).toThrow(message);
  });
  test("a secret is never repeated", () => {
    expect(() => load({ flags: [["auth.api_key", "two words"]] })).toThrow(/^(?!.*two words).*visible ASCII/);
  });
  test("a file that is not YAML, or not sections", () => {
    expect(() => load({ yaml: "a: [1" })).toThrow(/is not YAML/);
    expect(() => load({ yaml: "- 1\n" })).toThrow(/sections with keys/);
    expect(() => load({ yaml: "limits: 3\n" })).toThrow(/section limits .* must hold keys/);
  });
  test("a missing file", () => {
    expect(() => loadConfig({ flags: new Map(), environment: {}, file: "/nowhere/f.yaml" })).toThrow(
      /nowhere\/f\.yaml cannot be read/,
    );
  });
  test("options that contradict each other", () => {
    expect(() => load({ flags: [["raft.election_ticks", "4"]] })).toThrow(/less than 3 times/);
    expect(() =>
      load({
        flags: [
          ["raft.compact_bytes", "8MiB"],
          ["raft.keep_bytes", "9MiB"],
        ],
      }),
    ).toThrow(/more than raft\.compact_bytes/);
    expect(() => load({ flags: [["http.deadline_max_ms", "10s"]] })).toThrow(
      /http\.deadline_ms is 60000, which is more than http\.deadline_max_ms \(10000\)/,
    );
  });
});

describe("units", () => {
  test.each([
    ["limits.body_bytes", "2MiB", 2 ** 21],
    ["limits.body_bytes", "1.5 MiB", 1572864],
    ["limits.body_bytes", "3mb", 3_000_000],
    ["shutdown.drain_ms", "2s", 2000],
    ["http.deadline_ms", "1_500", 1500],
    ["engine.tombstone_ratio", "20%", 0.2],
  ] as const)("%s = %s is %d", (name, text, value) => {
    expect(parseValue(OPTIONS[name], text)).toEqual({ kind: "value", value });
  });
});

describe("without a key", () => {
  test.each(["0.0.0.0:6333", "[::]:6333", "10.0.0.1:0", "example.org:80"])("%s is refused", (addr) => {
    expect(() => load({ flags: [["http.addr", addr]] })).toThrow(/no API key is set/);
  });
  test.each(["127.0.0.1:0", "127.9.9.9:1", "localhost:6333", "[::1]:6333"])("%s is fine", (addr) => {
    expect(load({ flags: [["http.addr", addr]] }).http.addr).toBe(addr);
  });
  test.each<[given: readonly (readonly [OptionName, string])[], message: RegExp]>([
    [[["tls.cert_file", "a.crt"]], /tls\.cert_file and tls\.key_file belong together/],
    [[["tls.key_file", "a.key"]], /belong together/],
    [[["tls.verify_clients", "true"]], /tls\.verify_clients needs/],
    [[["audit.required", "true"]], /audit\.path is not/],
  ])("%j is an error", (flags, message) => {
    expect(() => load({ flags })).toThrow(message);
  });
  test.each<OptionName>(["auth.api_key", "auth.jwt_public_key_file", "auth.jwt_jwks_file"])(
    "%s opens the node to other machines",
    (name) => {
      const address = ["http.addr", "0.0.0.0:6333"] as const;
      expect(() => load({ flags: [address] })).toThrow(/--insecure/);
      const secret = ["cluster.secret", "between-nodes"] as const;
      expect(load({ flags: [address, [name, "given"], secret] }).http.addr).toBe("0.0.0.0:6333");
    },
  );
  test("gRPC for other machines needs a key as REST does: clients may do the same there", () => {
    const open = ["grpc.addr", "0.0.0.0:6334"] as const;
    const secret = ["cluster.secret", "between-nodes"] as const;
    expect(() => load({ flags: [open, secret] })).toThrow(/grpc\.addr 0\.0\.0\.0:6334 .*no API key is set/);
    expect(load({ flags: [open, secret, ["auth.api_key", "given"]] }).grpc.addr).toBe("0.0.0.0:6334");
    const peer = ["cluster.peer_addr", "0.0.0.0:6335"] as const;
    expect(load({ flags: [peer, secret] }).cluster.peerAddr).toBe("0.0.0.0:6335");
  });
  test("--insecure says it aloud", () => {
    const flags = [["http.addr", "0.0.0.0:6333"] as const, ["auth.insecure", true] as const];
    expect(load({ flags }).auth.insecure).toBe(true);
  });
});

describe("the table", () => {
  test("every default is within its own bounds, every row says why", () => {
    for (const name of OPTION_NAMES) {
      const row: OptionRow = OPTIONS[name];
      if (row.default !== null) expect(parseValue(row, row.default), name).toMatchObject({ kind: "value" });
      expect(row.reason, name).toMatch(/\.$/);
    }
  });
  test("no two options share a flag or a variable", () => {
    expect(new Set(OPTION_NAMES.map(flagOf)).size).toBe(OPTION_NAMES.length);
    expect(new Set(OPTION_NAMES.map(environmentName)).size).toBe(OPTION_NAMES.length);
  });
  test("flag and variable of a row", () => {
    expect(flagOf("limits.body_bytes")).toBe("--limits-body-bytes");
    expect(flagOf("node.data_dir")).toBe("--data-dir");
    expect(environmentName("limits.body_bytes")).toBe("FLOTILLA__LIMITS__BODY_BYTES");
  });
});

test("the nearest word is found regardless of case", () => {
  expect(nearest("--HTTP-adr", ["--http-addr", "--data-dir"])).toBe("--http-addr");
});

test("an IPv6 address loses its brackets", () => {
  expect(splitAddress("[::1]:6333")).toEqual({ host: "::1", port: 6333 });
});
