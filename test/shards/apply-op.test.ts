import { applyOpConformance } from "./apply-op-conformance.ts";
import { RecordingMachine } from "./support/machine.ts";

const bytes = new TextEncoder();

// So the tests of the replication layer rest on a machine that does what a real one has to do.
applyOpConformance<RecordingMachine>({
  name: "recording",
  open: () => Promise.resolve(new RecordingMachine()),
  reopen: (machine) => {
    machine.powerCut();
    return Promise.resolve(machine);
  },
  write: (n, key) =>
    bytes.encode(key === undefined ? `line ${n}` : `@${key.origin} ${key.sequence} line ${n}`),
  poison: [bytes.encode("poison")],
  isRejected: (result) => typeof result === "object" && result !== null && "rejected" in result,
  versionOf: (result) => (result as { readonly version: number }).version,
  hashOf: ({ stateHash }) => stateHash,
});
