import { describe, expect, test } from "vitest";
import { GroupId, LogIndex, NodeId, Term } from "../../shards/index.ts";
import { Mailroom } from "../../shards/mailroom.ts";
import type { Entry, GroupMessage, Transport } from "../../shards/ports.ts";

const FROM = NodeId(1);

/** A mailroom and what its transport was given: per send the peer and what each message was. */
function mailroom(): { readonly room: Mailroom; readonly sent: string[] } {
  const sent: string[] = [];
  const transport: Transport = {
    start: () => undefined,
    send: (to, messages) => {
      const words = messages.map(({ group, message }) =>
        message.kind === "append"
          ? `${group}:${message.entries.length > 0 ? "entries" : "commit"} ${message.commit}`
          : `${group}:${message.kind}`,
      );
      sent.push(`to ${to}: ${words.join(", ")}`);
    },
    sendSnapshot: () => Promise.resolve(false),
  };
  const room = new Mailroom(
    { cluster: "c", node: FROM, incarnation: "i" },
    {
      transport,
      events: { event: () => undefined },
      group: () => undefined,
      groups: () => [],
      beat: () => undefined,
      guard: () => undefined,
      discard: () => undefined,
    },
  );
  return { room, sent };
}

function append(to: number, group: number, commit: number, entries: readonly Entry[] = []): GroupMessage {
  return {
    group: GroupId(group),
    message: {
      ...{
        kind: "append",
        from: FROM,
        to: NodeId(to),
        term: Term(2),
        prevIndex: LogIndex(9),
        prevTerm: Term(2),
      },
      ...{ entries, commit: LogIndex(commit) },
    },
  };
}

const ENTRY: Entry = { index: LogIndex(10), term: Term(2), kind: "normal", data: new Uint8Array(1) };

describe("an append that only tells a commit index", () => {
  test("does not travel alone: not before a tick went by", () => {
    const { room, sent } = mailroom();
    room.post(append(2, 1, 9));
    expect(room.flush()).toBe(false);
    expect(sent).toEqual([]);
    room.release();
    expect(room.flush()).toBe(true);
    expect(sent).toEqual(["to 2: 1:commit 9"]);
    room.release();
    expect(room.flush()).toBe(false);
  });

  test("leaves before whatever goes to its peer next, of any group", () => {
    const { room, sent } = mailroom();
    room.post(append(2, 1, 9));
    room.post(append(3, 1, 9));
    room.post(append(2, 7, 4, [ENTRY]));
    room.flush();
    expect(sent).toEqual(["to 2: 1:commit 9, 7:entries 4"]);
    room.post(append(3, 1, 10, [ENTRY]));
    room.flush();
    expect(sent[1]).toBe("to 3: 1:commit 9, 1:entries 10");
  });

  test("stays behind the entries that were handed in before it", () => {
    const { room, sent } = mailroom();
    room.post(append(2, 1, 8));
    room.post(append(2, 1, 9, [ENTRY]));
    room.post(append(2, 1, 10));
    room.flush();
    expect(sent).toEqual(["to 2: 1:commit 8, 1:entries 9, 1:commit 10"]);
  });

  test("a newer one of its group takes its place", () => {
    const { room, sent } = mailroom();
    room.post(append(2, 1, 9));
    room.post(append(2, 1, 12));
    room.release();
    room.flush();
    expect(sent).toEqual(["to 2: 1:commit 12"]);
  });

  test("nothing of it is left when the mailroom closes", () => {
    const { room, sent } = mailroom();
    room.post(append(2, 1, 9));
    room.close();
    room.release();
    expect(room.flush()).toBe(false);
    expect(sent).toEqual([]);
  });
});
