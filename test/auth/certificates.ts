/** Real certificates, made by another program than the one that is tested. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

const openssl = (...args: string[]): void => void execFileSync("openssl", args, { stdio: "ignore" });
const KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/** `NAME.crt` and `NAME.key` for this machine; signed by `authority` of the same directory, else by itself. */
export function certificate(directory: string, name: string, authority: string | null = null): void {
  const at = (of: string, end: string) => join(directory, `${of}.${end}`);
  const issuer = authority === null ? [] : ["-CA", at(authority, "crt"), "-CAkey", at(authority, "key")];
  const names = ["-subj", `/CN=${name}`, "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"];
  const files = ["-keyout", at(name, "key"), "-out", at(name, "crt")];
  openssl("req", "-x509", ...KEY, ...files, ...issuer, "-days", "2", ...names);
}
