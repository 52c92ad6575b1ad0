import { describe, expect, test } from "vitest";
import { ACTIONS, allows, readAccess, type Action, type Rights } from "../../src/auth/rights.ts";

const rights = (claim: unknown): Rights => {
  const read = readAccess(claim);
  if (read.kind === "refused") throw new Error(read.why);
  return read.rights;
};
const may = (claim: unknown, collection: string | null): string =>
  ACTIONS.filter((action) => allows(rights(claim), action, collection)).join(" ");
const on = (access: string, collection = "cities") => [{ collection, access }];

describe("the access claim", () => {
  test.each([undefined, null, "", []])("%j means nothing but liveness", (claim) => {
    expect([may(claim, "cities"), may(claim, null)]).toEqual(["probe", "probe"]);
  });

  test.each<[claim: unknown, collection: string, cluster: string]>([
    ["r", "probe list read", "probe list read"],
    ["m", "probe list read write configure manage", "probe list read write configure manage"],
    [on("r"), "probe list read", "probe list"],
    [on("prw"), "probe list read write", "probe list"],
    [on("rw"), "probe list read write configure", "probe list"],
    [on("rw", "*"), "probe list read write configure", "probe list"],
  ])("%j", (claim, collection, cluster) => {
    expect([may(claim, "cities"), may(claim, null)]).toEqual([collection, cluster]);
  });

  test("no list of collections gives a right to manage, on any name", () => {
    const every = [...on("rw", "*"), ...on("rw", "cities"), ...on("prw", "c*")];
    for (const name of ["cities", "", "*", null]) expect(may(every, name)).not.toContain("manage");
  });

  test("a name counts exactly, and with `*` at its end as a beginning", () => {
    const read = (pattern: string, name: string) => allows(rights(on("r", pattern)), "read", name);
    expect(read("city", "city")).toBe(true);
    for (const other of ["cities", "cit", "City", "city*", ""]) expect(read("city", other)).toBe(false);
    expect(["city-", "city-1", "city-1-x"].every((name) => read("city-*", name))).toBe(true);
    expect(["city", "a-city-1", ""].some((name) => read("city-*", name))).toBe(false);
  });

  test("several entries add up, each for its own names", () => {
    const claim = [...on("r", "*"), ...on("prw", "tenant-1-*")];
    const write: Action = "write";
    expect(allows(rights(claim), write, "tenant-1-a")).toBe(true);
    expect(allows(rights(claim), write, "tenant-2-a")).toBe(false);
    expect(allows(rights(claim), "read", "tenant-2-a")).toBe(true);
  });

  test.each([
    ["rw", /"r", "m" or a list/],
    ["M", /"r", "m" or a list/],
    [{ collection: "c", access: "r" }, /"r", "m" or a list/],
    [7, /"r", "m" or a list/],
    [true, /"r", "m" or a list/],
    [["r"], /must list objects/],
    [[null], /must list objects/],
    [[{ access: "r" }], /names no `collection`/],
    [[{ collection: "", access: "r" }], /names no `collection`/],
    [[{ collection: "a*b", access: "r" }], /only the last character/],
    [[{ collection: "**", access: "r" }], /only the last character/],
    [[{ collection: "c", access: "m" }], /"r", "rw" or "prw"/],
    [[{ collection: "c" }], /"r", "rw" or "prw"/],
    [[...on("r"), ...on("x")], /"r", "rw" or "prw"/],
    [Array.from({ length: 257 }, () => on("r")[0]), /more than 256/],
  ])("%j is refused as a whole", (claim, message) => {
    expect(readAccess(claim)).toEqual({ kind: "refused", why: expect.stringMatching(message) as string });
  });
});
