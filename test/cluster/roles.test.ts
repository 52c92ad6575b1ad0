import { expect, test } from "vitest";
import { Roles } from "../../src/cluster/roles.ts";

test("each replica of a group has a life of its own, of which nothing is left when it is forgotten", () => {
  const roles = new Roles(() => 1);
  expect(roles.life(7)).toBeNull();
  roles.changed(7, { role: "leader", leader: 1, term: 1 });
  const first = roles.life(7);
  roles.changed(7, { role: "follower", term: 2 });
  expect(first).not.toBeNull();
  expect(roles.life(7)).toBe(first);
  let told = 0;
  roles.watch(7, () => told++);
  roles.forget(7);
  expect([roles.knows(7), roles.life(7), told]).toEqual([false, null, 1]);
  roles.changed(7, { leader: 2 });
  expect(roles.life(7)).not.toBe(first);
});

test("one that was taken out of service leads nobody, but holds its office", () => {
  const roles = new Roles(() => 1);
  roles.changed(7, { role: "leader", leader: 1, term: 1 });
  expect([roles.leads(7), roles.isElected(7)]).toEqual([true, true]);
  roles.changed(7, { stopped: { why: "diverged", code: "REPLICA_DIVERGED" } });
  expect([roles.leads(7), roles.isElected(7)]).toEqual([false, true]);
  roles.changed(7, { leader: 2 });
  expect(roles.isElected(7)).toBe(false);
});
