/** `npm run generate`: writes the generated parts of the README anew. */
import { readFileSync, writeFileSync } from "node:fs";
import { regenerate } from "./generated.ts";

const FILE = "README.md";
const before = readFileSync(FILE, "utf8");
const after = regenerate(before);
if (after !== before) writeFileSync(FILE, after);
process.stdout.write(after === before ? `${FILE} is up to date\n` : `${FILE} was written\n`);
