import { describe, expect, test } from "vitest";
import { Authenticator } from "../../src/auth/authenticator.ts";
import { authorize, authorizeCluster, type CollectionPermit } from "../../src/auth/permit.ts";
import { ACTIONS } from "../../src/auth/rights.ts";
import { token, tokens } from "./support.ts";
import type { VectorService } from "../../src/api/vector-service.ts";

const keys = { apiKey: "manage-1", altApiKey: "manage-2", readOnlyApiKey: "read-1" };
const closed = new Authenticator(keys);

const role = (authenticator: Authenticator, apiKey?: string, authorization?: string): string => {
  const { credential, rights } = authenticator.identify({ apiKey, authorization });
  return rights.kind === "none" ? credential.kind : rights.kind;
};

describe("who is asking", () => {
  test("without keys everybody may do everything", () => {
    const open = new Authenticator({});
    expect(open.open).toBe(true);
    expect(role(open)).toBe("manage");
    expect(role(open, "anything")).toBe("manage");
  });

  test("each key has its role, in either header", () => {
    expect(closed.open).toBe(false);
    expect(role(closed, "manage-1")).toBe("manage");
    expect(role(closed, "manage-2")).toBe("manage");
    expect(role(closed, "read-1")).toBe("read");
    expect(role(closed, undefined, "Bearer manage-1")).toBe("manage");
    expect(role(closed, undefined, "bearer   read-1")).toBe("read");
  });

  test("nothing sent is anonymous, anything else is unknown", () => {
    expect(role(closed)).toBe("none");
    for (const wrong of ["", "manage", "manage-11", "MANAGE-1", " manage-1"])
      expect(role(closed, wrong)).toBe("refused");
    for (const wrong of ["manage-1", "Basic manage-1", "Bearer", "Bearer a b"])
      expect(role(closed, undefined, wrong)).toBe("refused");
  });

  test("of both headers api-key decides, so that a wrong one is not rescued by the other", () => {
    expect(role(closed, "wrong", "Bearer manage-1")).toBe("refused");
  });

  test("a key that has the shape of a token is still a key", () => {
    const shaped = new Authenticator({ apiKey: "a.b.c" }, { tokens: tokens().tokens });
    expect(shaped.open).toBe(false);
    expect(role(shaped, "a.b.c")).toBe("manage");
    expect(role(shaped, "a.b.d")).toBe("refused");
    expect(role(shaped, token({ access: "r" }))).toBe("read");
    expect(role(shaped, undefined, `Bearer ${token({ access: "r" })}`)).toBe("read");
  });

  test("an empty key is a mistake in the configuration, not an open door", () => {
    expect(() => new Authenticator({ apiKey: "" })).toThrow(/api_key must not be empty/);
  });

  test("principals carry no secret", () => {
    for (const key of Object.values(keys))
      expect(JSON.stringify(closed.identify({ apiKey: key, authorization: undefined }))).not.toContain(
        `"${key}"`,
      );
  });
});

describe("what they may do", () => {
  const who = (key: string | undefined) => closed.identify({ apiKey: key, authorization: undefined });
  test.each<[key: string | undefined, allowed: string, otherwise: string]>([
    [undefined, "probe", "UNAUTHENTICATED"],
    ["wrong", "probe", "UNAUTHENTICATED"],
    ["read-1", "probe list read", "FORBIDDEN"],
    ["manage-1", "probe list read write configure manage", "-"],
    ["manage-2", "probe list read write configure manage", "-"],
  ])("key %s: %s, else %s", (key, allowed, otherwise) => {
    for (const action of ACTIONS) {
      const attempts = [
        () => authorize(who(key), action, "cities"),
        () => authorizeCluster(who(key), action),
      ];
      for (const attempt of attempts) {
        if (allowed.split(" ").includes(action)) expect(attempt().action).toBe(action);
        else expect(attempt).toThrow(expect.objectContaining({ code: otherwise }));
      }
    }
  });

  test("a permit names its collection, and nothing that looks like one is one", () => {
    const permit = authorize(who("manage-1"), "write", "cities");
    expect(permit.collection).toBe("cities");
    type Write = Parameters<VectorService["write"]>[0];
    const real: Write = permit;
    // @ts-expect-error a permit to read is none to write
    const read: Write = authorize(who("manage-1"), "read", "cities");
    // @ts-expect-error an object of the same shape lacks the private field
    const forged: CollectionPermit<"write"> = {
      collection: "cities",
      action: "write",
      principal: permit.principal,
    };
    expect([real, read, forged]).toHaveLength(3);
  });
});
