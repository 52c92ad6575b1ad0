import type { GroupImage } from "../group-image.ts";
import type { Invariant } from "../facts.ts";

/**
 * An acknowledgement names a prefix the sender really shares with the leader of that term (§5.3): index by index, the
 * follower's synced log up to `match` equals the leader's. Compared only while that leader still leads that term and
 * where both still hold the entry.
 */
export const acknowledgedMatch: Invariant = {
  name: "an acknowledged prefix is the leader's",
  watch({ world, fail }) {
    const differ = (a: GroupImage, b: GroupImage, index: number): boolean => {
      const [left, right] = [a.at(index)?.term, b.at(index)?.term];
      return left !== undefined && right !== undefined && left !== right;
    };
    return {
      sends(node, group, message) {
        if (message.kind !== "appendAccepted") return;
        const leader = world.status(message.to, group);
        if (leader?.role !== "leader" || leader.term !== message.term) return;
        const mine = world.image(node, group);
        const theirs = world.image(message.to, group);
        if (mine === null || theirs === null) return;
        // One transaction may have replaced the entry since, by what the next leader sent.
        if (mine.hardState.term > message.term) return;
        if (differ(mine, theirs, message.match))
          fail(
            `n${node} g${group}: acknowledges ${message.match} to n${message.to}, but holds term ` +
              `${mine.at(message.match)?.term} there and the leader ${theirs.at(message.match)?.term}`,
          );
        if (message.match > leader.lastIndex)
          fail(
            `n${node} g${group}: acknowledges ${message.match}, the leader's log ends at ${leader.lastIndex}`,
          );
      },
    };
  },
};
