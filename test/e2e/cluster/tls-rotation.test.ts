/** A new authority and new certificates for a cluster that runs, as an operator brings them in, while clients write. */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { X509Certificate } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "vitest";
import { certificate } from "../../auth/certificates.ts";
import { temporaryDirectory } from "../support/node-process.ts";
import { ClusterProcess, type Member } from "./cluster-process.ts";
import { look, PORTS, RepeatingWriter, SecureClient, type Trust } from "./support/secure.ts";

const NODES = [1, 2, 3];
const WRITES = 20;

/** Everything one authority has made, and where nodes read what they use. */
class Material {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
    for (const age of ["old", "new"]) {
      certificate(path, `${age}-ca`);
      for (const name of [...NODES.map((number) => `node-${number}`), "operator"])
        certificate(path, `${age}-${name}`, `${age}-ca`);
    }
    for (const number of NODES) mkdirSync(join(path, `${number}`));
  }

  pem(name: string): Buffer {
    return readFileSync(join(this.#path, name));
  }
  /** Trusts the authorities of these ages and shows a certificate of the last. */
  trust(...ages: readonly string[]): Trust {
    const last = ages.at(-1) ?? "";
    return {
      ca: Buffer.concat(ages.map((age) => this.pem(`${age}-ca.crt`))),
      cert: this.pem(`${last}-operator.crt`),
      key: this.pem(`${last}-operator.key`),
    };
  }
  fingerprint(age: string, node: number): string {
    return new X509Certificate(this.pem(`${age}-node-${node}.crt`)).fingerprint256;
  }

  /** Replaces the authorities that a node trusts. */
  setAuthorities(node: number, ...ages: readonly string[]): void {
    this.#replace(node, "ca.pem", this.trust(...ages).ca);
  }
  /** One file after the other, as it goes: for a moment they do not belong together. */
  setCertificate(node: number, age: string): void {
    this.#replace(node, "cert.pem", this.pem(`${age}-node-${node}.crt`));
    this.#replace(node, "key.pem", this.pem(`${age}-node-${node}.key`));
  }
  args(node: number): readonly string[] {
    const file = (name: string): string => join(this.#path, `${node}`, name);
    return [
      ...["--tls-cert-file", file("cert.pem"), "--tls-key-file", file("key.pem")],
      ...["--tls-ca-file", file("ca.pem"), "--tls-peer-ca-file", file("ca.pem")],
      ...["--cluster-secret", "battery-staple-battery-staple", "--logging-level", "info"],
    ];
  }
  #replace(node: number, name: string, pem: Buffer): void {
    const path = join(this.#path, `${node}`, name);
    writeFileSync(`${path}.new`, pem);
    renameSync(`${path}.new`, path);
  }
}

const times = (text: string, what: string): number => text.split(what).length - 1;

test("an authority and all certificates are replaced while three nodes run and are written to", async () => {
  using directory = temporaryDirectory();
  const material = new Material(directory.path);
  await using cluster = new ClusterProcess();
  for (const number of NODES) {
    material.setAuthorities(number, "old");
    material.setCertificate(number, "old");
    await cluster.add({ args: material.args(number) });
  }
  const members = NODES.map((number) => cluster.member(number));
  const [first, second, third] = members as [Member, Member, Member];
  let trusted = material.trust("old").ca;
  const client = (member: Member): SecureClient => new SecureClient(member, trusted);
  const untilAllVote = async (): Promise<void> =>
    await cluster.until("three voters, all active", async () => {
      const [shard] = await cluster.shards("c", client(first));
      const active = shard?.replicas.filter(({ role, state }) => role !== "learner" && state === "active");
      return active?.length === 3;
    });
  await client(first).create("c", { size: 4, replicas: 3 });
  await untilAllVote();

  const writer = new RepeatingWriter("c", { members: () => cluster.running, ca: () => trusted });
  const written = async (): Promise<void> => {
    const wanted = writer.acknowledged.size + WRITES;
    await cluster.until(
      `${WRITES} more writes`,
      () => Promise.resolve(writer.acknowledged.size >= wanted),
      () => writer.repeated.slice(-3).join("; "),
    );
  };
  await written();
  for (const port of PORTS)
    expect([port, await look(first, port, material.trust("old"))]).toEqual([
      port,
      { fingerprint: material.fingerprint("old", 1), outcome: "served" },
    ]);

  // 1 · Everybody trusts both authorities before anybody shows anything by the new one.
  trusted = material.trust("old", "new").ca;
  for (const member of members) {
    const taken = times(member.log, "certificate replaced");
    material.setAuthorities(member.number, "old", "new");
    await cluster.until(`node ${member.number} trusts both`, () =>
      Promise.resolve(times(member.log, "certificate replaced") > taken),
    );
  }
  await written();

  // 2 · One node after the other shows a certificate by the new one, on every port, for whoever connects from now on.
  for (const member of members) {
    material.setCertificate(member.number, "new");
    for (const port of PORTS) {
      let seen = "";
      await cluster.until(
        `node ${member.number} presents its new certificate on ${port}`,
        async () => {
          const found = await look(member, port, material.trust("new"));
          seen = JSON.stringify(found);
          const fingerprint = material.fingerprint("new", member.number);
          return found.fingerprint === fingerprint && found.outcome === "served";
        },
        () => seen,
      );
      const refused = await look(member, port, material.trust("old"));
      expect([port, refused.fingerprint, refused.outcome]).toEqual([
        port,
        null,
        expect.stringMatching(/^(UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED_CERT_IN_CHAIN)$/),
      ]);
    }
    await written();
  }
  // Nobody was restarted so far, so that there was nothing to repeat.
  expect(writer.repeated).toEqual([]);

  // 3 · A node starts with nothing but new material; the two that run dial it with what they took over.
  await cluster.stop(third);
  trusted = material.trust("new").ca;
  material.setAuthorities(3, "new");
  await written();
  await cluster.start(third, { args: material.args(3), join: [] });
  await untilAllVote();
  await written();

  // 4 · The old authority is forgotten: who shows a certificate by it is let in nowhere.
  for (const member of [first, second]) {
    material.setAuthorities(member.number, "new");
    await cluster.until(`node ${member.number} forgets the old authority`, async () => {
      const stale = { ...material.trust("old"), ca: material.trust("new").ca };
      return (await look(member, "peer", stale)).outcome !== "served";
    });
  }
  for (const member of members)
    expect((await look(member, "peer", material.trust("new"))).outcome).toBe("served");
  await written();

  // They dialled addresses all along, as Node.js warns of where TLS is told them as names.
  for (const { log } of members) expect(log).not.toMatch(/DEP0123|DeprecationWarning/);

  const acknowledged = await writer.stop();
  for (const member of members) {
    let held = 0;
    await cluster.until(
      `node ${member.number} holds all ${acknowledged.size}`,
      async () => {
        const path = "/collections/c/points/count?consistency=eventual";
        const { body } = await client(member).call("POST", path, { exact: true });
        held = (body.result as { readonly count: number }).count;
        return held === acknowledged.size;
      },
      () => `${held}`,
    );
  }
}, 180_000);
