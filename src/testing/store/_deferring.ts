import { assert, assertEquals } from "@std/assert";
import {
  ack,
  type Bench,
  contract,
  dead,
  defer,
  LONG,
  positionsOf,
  release,
  retry,
  type StoreContract,
} from "../_store_bench.ts";

/** Contracts of entries in a version that their consumers do not know. */
export const deferring: readonly StoreContract[] = [
  contract("24", "settle() defers a delivery to a member that knows its version, uncounted", async (bench) => {
    const all = await bench.append(3);
    const old = await bench.join("old");
    assertEquals(await old.settle(defer(await bench.take(old), 2)), []);
    await bench.nothing(old);
    assertEquals(await deferredIn(bench), [{ version: 2, pending: 3 }]);
    const current = await bench.join("current", { version: 2 });
    const taken = await bench.take(current);
    assertEquals(positionsOf(taken), all);
    for (const record of taken) assertEquals([record.attempt, record.recovered, record.expired], [1, 0, undefined]);
    assertEquals(await deferredIn(bench), []);
    assertEquals(await current.settle(ack(taken)), []);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("24", "claim() takes deferred entries of all versions it knows in order of position", async (bench) => {
    const all = await bench.append(12);
    const old = await bench.join("old");
    const taken = await bench.take(old);
    const nth = (rest: number) => taken.filter((_, index) => index % 3 === rest);
    // The last entry is deferred first.
    await old.settle([...defer(nth(2).toReversed(), 4), ...defer(nth(1).toReversed(), 2)]);
    await old.settle(defer(nth(0).toReversed(), 10));
    assertEquals(await deferredIn(bench), [2, 4, 10].map((version) => ({ version, pending: 4 })));
    const middle = await bench.join("middle", { version: 4 });
    const known = all.filter((_, index) => index % 3 !== 0);
    assertEquals(positionsOf(await bench.take(middle, 5)), known.slice(0, 5));
    assertEquals(positionsOf(await bench.take(middle, 5)), known.slice(5));
    await bench.nothing(middle);
    assertEquals(await deferredIn(bench), [{ version: 10, pending: 4 }]);
    const newest = await bench.join("newest", { version: 11 });
    assertEquals(positionsOf(await bench.take(newest)), all.filter((_, index) => index % 3 === 0));
  }),

  contract("24", "settle() wakes a member that knows the version", async (bench) => {
    const all = await bench.append(1);
    const [old, current] = [await bench.join("old"), await bench.join("current", { version: 2 })];
    const taken = await bench.take(old);
    const { records } = await bench.wake(current, () => old.settle(defer(taken, 2)));
    assertEquals(positionsOf(records), all);
  }),

  contract("24, 12", "settle() refuses a late settle of a deferred delivery", async (bench) => {
    const all = await bench.append(2);
    const [old, current] = [await bench.join("old"), await bench.join("current", { version: 2 })];
    const taken = await bench.take(old);
    await old.settle(defer(taken, 2));
    assertEquals(await old.settle(defer(taken, 2)), all);
    assertEquals(await old.renew(taken), all);
    const again = await bench.take(current);
    assertEquals(await old.settle(ack(taken)), all);
    assertEquals(await current.settle(ack(again)), []);
  }),

  contract("4, 24", "settle() keeps the attempt count over a deferral", async (bench) => {
    await bench.append(1);
    const [old, current] = [await bench.join("old"), await bench.join("current", { version: 2 })];
    await current.settle(retry(await bench.take(current), 0));
    const [record] = await bench.take(old);
    assertEquals(record!.attempt, 2);
    await old.settle(defer([record!], 2));
    const again = await bench.take(current);
    assertEquals(again.map(({ attempt, recovered }) => [attempt, recovered]), [[2, 0]]);
    assertEquals(await current.settle(ack(again)), []);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("17, 24", "claim() does not recover deferred entries of a dead member", async (bench) => {
    const all = await bench.append(2);
    await bench.die(2, "dead", (taken) => defer(taken, 2));
    const old = await bench.join("old");
    await bench.nothing(old);
    assertEquals(await old.leave(), true);
    const taken = await bench.take(await bench.join("current", { version: 2 }));
    assertEquals(taken.map(({ position, recovered }) => [position, recovered]), all.map((position) => [position, 0]));
  }),

  contract("24", "claim() returns entries deferred longer than deferTimeout as expired", async (bench) => {
    const all = await bench.append(2);
    const old = await bench.join("old", { deferTimeout: bench.short, lease: 4 * bench.short });
    const patient = await bench.join("patient", { deferTimeout: LONG });
    await old.settle(defer(await bench.take(old), 2));
    await bench.nothing(patient);
    await bench.pass(bench.short + 1);
    await bench.nothing(patient);
    const late = await bench.take(old);
    assertEquals(late.map(({ position, expired, attempt }) => [position, expired, attempt]), [
      [all[0], true, 1],
      [all[1], true, 1],
    ]);
    assertEquals(await old.settle(dead(late, { reason: "version", attempts: 0 })), []);
    const letters = await bench.letters();
    assertEquals(positionsOf(letters), all);
    for (const { reason, fields } of letters) assertEquals([reason, fields[2]], ["version", "payload"]);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("24", "claim() returns a late entry as not expired to a member that knows its version", async (bench) => {
    const all = await bench.append(1);
    const old = await bench.join("old");
    await old.settle(defer(await bench.take(old), 2));
    await bench.pass(bench.short + 1);
    const taken = await bench.take(await bench.join("current", { version: 2, deferTimeout: bench.short }));
    assertEquals(taken.map(({ position, expired }) => [position, expired]), [[all[0], undefined]]);
  }),

  contract("27", "trim() keeps deferred entries and names the group that pins them", async (bench) => {
    const all = await bench.append(5);
    const old = await bench.join("old");
    const [first, second, ...rest] = await bench.take(old);
    await old.settle([...ack([first!, ...rest]), ...defer([second!], 2)]);
    assertEquals(await bench.admin.trim({ maxLength: 0 }), { removed: 1, pinnedBy: "group" });
    const group = await bench.group();
    assertEquals([group.floor, group.pending, group.deferred], [all[1], 1, [{ version: 2, pending: 1 }]]);
    assertEquals(await bench.admin.trim({ maxLength: 0, force: true }), { removed: 4, pinnedBy: undefined });
    const { missing } = await bench.claim(await bench.join("current", { version: 2 }));
    assertEquals(missing, all.slice(1, 2));
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("27", "settle() defers no removed entry: the next claim of any member reports it missing", async (bench) => {
    const all = await bench.append(2);
    const old = await bench.join("old");
    const taken = await bench.take(old);
    await bench.admin.trim({ maxLength: 0, force: true });
    assertEquals(await old.settle(defer(taken.slice(0, 1), 2)), []);
    assertEquals(await deferredIn(bench), []);
    assertEquals((await bench.claim(old)).missing, all.slice(0, 1));
    assertEquals(await old.settle(defer(taken.slice(1), 2)), []);
    assertEquals((await bench.claim(await bench.join("current", { version: 2 }))).missing, all.slice(1));
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("29", "rewind() drops deferred entries at or after its position and keeps the rest", async (bench) => {
    const all = await bench.append(4);
    const old = await bench.join("old");
    await old.settle(defer(await bench.take(old), 2));
    assertEquals(await bench.admin.rewind("group", all[2]!), { dropped: 2, first: all[2] });
    assertEquals(await deferredIn(bench), [{ version: 2, pending: 2 }]);
    const again = await bench.take(old);
    assertEquals(positionsOf(again), all.slice(2));
    assertEquals(await old.settle(defer(again, 2)), []);
    const current = await bench.join("current", { version: 2 });
    assertEquals(await bench.drain(current), all);
    await old.settle(defer(await bench.append(1).then(() => bench.take(old)), 2));
    assertEquals((await bench.admin.rewind("group", "beginning")).dropped, 1);
    assertEquals((await bench.drain(current)).length, 5);
  }),

  contract("25", "redrive() returns letters of reason version, also when the entry is gone", async (bench) => {
    const all = await bench.append(2);
    const old = await bench.join("old", { deferTimeout: bench.short });
    await old.settle(dead(await bench.take(old), { reason: "version" }));
    await bench.admin.trim({ maxLength: 1 });
    assertEquals(await bench.admin.deadLetters("group").redrive(), 2);
    const again = await bench.take(old);
    assertEquals(positionsOf(again), all);
    // A redriven copy is deferred, released and deferred again like the entry itself.
    await old.settle(defer(again, 3));
    assertEquals(await deferredIn(bench), [{ version: 3, pending: 2 }]);
    await bench.nothing(await bench.join("middle", { version: 2, lease: bench.short }));
    const current = await bench.join("current", { version: 3 });
    const taken = await bench.take(current);
    assertEquals(taken.map(({ position, attempt, recovered }) => [position, attempt, recovered]), [
      [all[0], 1, 0],
      [all[1], 1, 0],
    ]);
    assert(taken.every(({ fields }) => fields[2] === "payload"));
    await current.settle(release(taken));
    const once = await bench.take(old);
    await old.settle(defer(once, 3));
    const last = await bench.take(current);
    assertEquals(await current.settle(ack(last)), []);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("24", "claim() returns redriven copies deferred longer than deferTimeout as expired", async (bench) => {
    const all = await bench.append(1);
    const old = await bench.join("old", { deferTimeout: bench.short, lease: 4 * bench.short });
    await old.settle(dead(await bench.take(old)));
    await bench.admin.trim({ maxLength: 0 });
    await bench.admin.deadLetters("group").redrive();
    await old.settle(defer(await bench.take(old), 2));
    await bench.pass(bench.short + 1);
    const late = await bench.take(old);
    assertEquals(late.map(({ position, expired }) => [position, expired]), [[all[0], true]]);
    assertEquals(await old.settle(dead(late, { reason: "version" })), []);
    assertEquals((await bench.letters()).map(({ fields }) => fields[0]), ["id"]);
  }),

  contract(
    "24",
    "claim() returns an entry that a leaving member released to a member that knows its version",
    async (bench) => {
      const all = await bench.append(3);
      const old = await bench.join("old");
      await old.settle(defer(await bench.take(old), 2));
      const closing = await bench.join("closing", { version: 2 });
      await bench.take(closing, 2);
      await closing.leave();
      // After its release any member may claim it; one that does not know the version defers it again.
      await old.settle(defer(await bench.take(old), 2));
      assertEquals(await bench.drain(await bench.join("current", { version: 2 })), all);
    },
  ),

  contract("24", "removeGroup() names deferred deliveries among its obstacles", async (bench) => {
    await bench.append(1);
    const old = await bench.join("old");
    await old.settle(defer(await bench.take(old), 2));
    await old.leave();
    const error = await bench.admin.removeGroup("group").catch((error: Error) => error);
    assert(error instanceof Error && error.message.includes("1 unsettled deliveries"));
    assertEquals(await bench.admin.removeGroup("group", { force: true }), true);
  }),
];

async function deferredIn(bench: Bench): Promise<{ version: number; pending: number }[]> {
  const { deferred, pending } = await bench.group();
  assert(
    deferred.reduce((sum, each) => sum + each.pending, 0) <= pending,
    "Deferred deliveries must be counted as pending",
  );
  return [...deferred];
}
