import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { LogIndex, Term } from "../../shards/index.ts";
import type { ApplyOp, ApplyResult, CapturedSnapshot, CommittedEntry } from "../../shards/index.ts";

export interface ApplyOpSubject<M extends ApplyOp = ApplyOp> {
  readonly name: string;
  /** An empty machine; it is gone when the test is over. */
  readonly open: () => Promise<M>;
  /** The same machine after the end of its process. */
  readonly reopen: (machine: M) => Promise<M>;
  /** An entry's data that changes the state, another for each `n`; with a key, nothing when it comes again. */
  readonly write: (n: number, key?: { readonly origin: string; readonly sequence: number }) => Uint8Array;
  /** Data that no machine can make sense of, or that it has to refuse. */
  readonly poison: readonly Uint8Array[];
  readonly isRejected: (result: ApplyResult) => boolean;
  /** The version that a write got. */
  readonly versionOf: (result: ApplyResult) => number;
  /** Equal exactly when the logical content is. */
  readonly hashOf: (machine: M) => string;
}

const NOTHING = new Uint8Array(0);
const PIECE = 700;

function at(index: number, data: Uint8Array): CommittedEntry {
  // A copy each time, as it would come from another node's log.
  return { term: Term(1 + Math.floor(index / 10)), index: LogIndex(index), data: new Uint8Array(data) };
}

async function wholeOf(snapshot: CapturedSnapshot, name: string, bytes: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  for (let offset = 0; offset < bytes; offset += PIECE)
    // Kept while the next one is read: a machine may not hand out the same buffer twice.
    pieces.push(await snapshot.read(name, offset, Math.min(PIECE, bytes - offset)));
  return new Uint8Array(Buffer.concat(pieces));
}

/** What every {@link ApplyOp} keeps: the duties of `shards/ports.ts`, without which replicas would differ. */
export function applyOpConformance<M extends ApplyOp>(subject: ApplyOpSubject<M>): void {
  const { name, open, reopen, write, poison, isRejected, versionOf, hashOf } = subject;
  const rule = (claim: string, check: () => Promise<void>): void => {
    test(`${name}: ${claim}`, check);
  };
  /** Writes, keyed ones, some of them again, poison and entries of the group itself: one history for all rules. */
  const history = (length: number): readonly CommittedEntry[] =>
    Array.from({ length }, (_, before) => {
      const index = before + 1;
      if (index % 11 === 0) return at(index, NOTHING);
      if (index % 7 === 0) return at(index, poison[index % poison.length] ?? NOTHING);
      if (index % 5 === 0) return at(index, write(index % 3, { origin: "o", sequence: index % 15 }));
      return at(index, write(index % 9));
    });

  rule("an empty machine has applied nothing, and nothing is durable", async () => {
    const machine = await open();
    expect([await machine.appliedIndex(), await machine.durableIndex()]).toEqual([0, 0]);
    expect(await machine.apply([])).toEqual([]);
    expect(await machine.appliedIndex()).toBe(0);
  });

  rule(
    "every entry has one result and moves the applied index, an empty one changes nothing else",
    async () => {
      const machine = await open();
      expect(await machine.apply([at(1, NOTHING), at(2, write(1))])).toHaveLength(2);
      const before = hashOf(machine);
      expect(await machine.apply([at(3, NOTHING)])).toEqual([null]);
      expect(await machine.appliedIndex()).toBe(3);
      expect(hashOf(machine)).toBe(before);
    },
  );

  rule("the version of a write is its index", async () => {
    const machine = await open();
    const results = await machine.apply([at(1, write(1)), at(2, NOTHING), at(3, write(1)), at(4, write(2))]);
    expect([results[0], results[2], results[3]].map(versionOf)).toEqual([1, 3, 4]);
  });

  rule(
    "the same entries have the same results and the same hash, however they were cut into calls",
    async () => {
      const entries = history(60);
      const [one, other] = [await open(), await open()];
      const whole = await one.apply(entries);
      const pieces: ApplyResult[] = [];
      for (let from = 0, size = 1; from < entries.length; from += size, size = (size % 7) + 1)
        pieces.push(...(await other.apply(entries.slice(from, from + size))));
      expect(pieces).toEqual(whole);
      expect(hashOf(other)).toBe(hashOf(one));
    },
  );

  rule("hashes are equal at every index, and differ when content does", async () => {
    const [one, other] = [await open(), await open()];
    for (const entry of history(30)) {
      await one.apply([entry]);
      await other.apply([entry]);
      expect(hashOf(one), `at ${entry.index}`).toBe(hashOf(other));
    }
    await one.apply([at(31, write(1))]);
    await other.apply([at(31, write(2))]);
    expect(hashOf(one)).not.toBe(hashOf(other));
  });

  rule(
    "poison is rejected alike everywhere, changes nothing but the index, and what follows is applied",
    async () => {
      const [one, other] = [await open(), await open()];
      for (const machine of [one, other]) await machine.apply([at(1, write(1))]);
      const before = hashOf(one);
      for (const [number, data] of poison.entries()) {
        const index = number + 2;
        const [result] = await one.apply([at(index, data)]);
        expect(isRejected(result ?? null), `poison ${number}`).toBe(true);
        expect(await other.apply([at(index, data)])).toEqual([result]);
        expect(await one.appliedIndex()).toBe(index);
        expect(hashOf(one)).toBe(before);
      }
      const after = poison.length + 2;
      expect((await one.apply([at(after, write(2))])).map(versionOf)).toEqual([after]);
      expect(hashOf(one)).not.toBe(before);
    },
  );

  rule(
    "what comes again under its origin and sequence changes nothing, and is answered as the first time",
    async () => {
      const machine = await open();
      const key = { origin: "client", sequence: 7 };
      const [first] = await machine.apply([at(1, write(1, key)), at(2, write(2))]);
      const before = hashOf(machine);
      const [again] = await machine.apply([at(3, write(1, key))]);
      expect(versionOf(again ?? null)).toBe(versionOf(first ?? null));
      expect(hashOf(machine)).toBe(before);
      const others = [
        at(4, write(1, { origin: "client", sequence: 8 })),
        at(5, write(1, { origin: "another", sequence: 7 })),
      ];
      expect((await machine.apply(others)).map(versionOf)).toEqual([4, 5]);
    },
  );

  rule("entries at or below the applied index are skipped", async () => {
    const machine = await open();
    const entries = history(20);
    await machine.apply(entries);
    const before = hashOf(machine);
    expect(await machine.apply(entries.slice(4, 16))).toHaveLength(12);
    expect(await machine.appliedIndex()).toBe(20);
    expect(hashOf(machine)).toBe(before);
    // Some of a call may be old and the rest new, as after a restart.
    const results = await machine.apply([...entries.slice(18), at(21, write(4))]);
    expect(results.slice(2).map(versionOf)).toEqual([21]);
  });

  rule("a checkpoint makes everything applied durable, and a restart finds it", async () => {
    const machine = await open();
    const entries = history(25);
    await machine.apply(entries);
    expect(await machine.durableIndex()).toBeLessThanOrEqual(25);
    expect(await machine.checkpoint()).toBe(25);
    expect(await machine.durableIndex()).toBe(25);
    const before = hashOf(machine);
    const again = await reopen(machine);
    expect(await again.appliedIndex()).toBe(25);
    expect(hashOf(again)).toBe(before);
    await again.apply(entries.slice(20));
    expect(hashOf(again)).toBe(before);
  });

  rule(
    "a capture is as of its index whatever is applied meanwhile, and its files are as it says",
    async () => {
      const [machine, then] = [await open(), await open()];
      const entries = history(40);
      await machine.apply(entries.slice(0, 30));
      await using snapshot = await machine.capture();
      await machine.apply(entries.slice(30));
      expect(snapshot.index).toBe(30);
      expect(new Set(snapshot.files.map((file) => file.name)).size).toBe(snapshot.files.length);
      for (const file of snapshot.files) {
        const content = await wholeOf(snapshot, file.name, file.bytes);
        expect(content).toHaveLength(file.bytes);
        expect(createHash("sha256").update(content).digest("hex")).toBe(file.sha256);
      }
      await then.restore(snapshot);
      const expected = await open();
      await expected.apply(entries.slice(0, 30));
      expect(hashOf(then)).toBe(hashOf(expected));
    },
  );

  rule("a restored machine holds what was captured, durably, and goes on as the others do", async () => {
    const [machine, replica] = [await open(), await open()];
    const key = { origin: "client", sequence: 1 };
    await machine.apply([...history(30), at(31, write(3, key))]);
    // Whatever it held before is gone.
    await replica.apply([at(1, write(8)), at(2, write(7))]);
    {
      await using snapshot = await machine.capture();
      await replica.restore(snapshot);
    }
    expect([await replica.appliedIndex(), await replica.durableIndex()]).toEqual([31, 31]);
    expect(hashOf(replica)).toBe(hashOf(machine));
    // What the log still holds below is handed in again, and is not applied again.
    await replica.apply(history(30).slice(10));
    expect(await replica.appliedIndex()).toBe(31);
    expect(hashOf(replica)).toBe(hashOf(machine));
    const next = [at(32, write(3, key)), at(33, write(5))];
    expect(await replica.apply(next)).toEqual(await machine.apply(next));
    expect(hashOf(replica)).toBe(hashOf(machine));
    const again = await reopen(replica);
    expect(hashOf(again)).toBe(hashOf(machine));
  });

  rule("a damaged snapshot is refused and leaves everything as it was", async () => {
    const [machine, replica] = [await open(), await open()];
    await machine.apply(history(20));
    await replica.apply([at(1, write(1))]);
    const before = hashOf(replica);
    await using snapshot = await machine.capture();
    const damaged: CapturedSnapshot = {
      index: snapshot.index,
      files: snapshot.files,
      read: async (file, offset, length) => {
        const piece = new Uint8Array(await snapshot.read(file, offset, length));
        if (offset === 0 && piece.length > 0) piece[piece.length - 1] = (piece.at(-1) ?? 0) ^ 1;
        return piece;
      },
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
    await expect(replica.restore(damaged)).rejects.toThrow();
    expect(await replica.appliedIndex()).toBe(1);
    expect(hashOf(replica)).toBe(before);
    expect((await replica.apply([at(2, write(2))])).map(versionOf)).toEqual([2]);
  });
}
