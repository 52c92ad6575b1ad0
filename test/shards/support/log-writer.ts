/** A process that writes to a log until it is killed, saying each index once it is acknowledged. */
import { openSqliteLog } from "../../../shards/adapters.ts";
import { GroupId, LogIndex, NodeId, Term } from "../../../shards/index.ts";

const G1 = GroupId(1);
const log = await openSqliteLog({ path: process.argv[2] ?? "" });
if (!log.groups().includes(G1))
  await log.create(G1, {
    index: LogIndex(0),
    term: Term(0),
    conf: { voters: [NodeId(1)], votersOutgoing: [], learners: [], learnersNext: [], autoLeave: false },
  });
const group = log.open(G1);
for (;;) {
  const index = LogIndex(group.lastIndex() + 1);
  const term = Term(1);
  await log.write([
    {
      group: G1,
      entries: [{ index, term, kind: "normal", data: new TextEncoder().encode(`data ${index}`) }],
      hardState: { term, vote: NodeId(1), commit: index },
    },
  ]);
  if (!process.stdout.write(`${index}\n`))
    await new Promise((drained) => process.stdout.once("drain", drained));
}
