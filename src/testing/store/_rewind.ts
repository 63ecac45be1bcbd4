import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Position, positionTime } from "../../store/mod.ts";
import { ack, contract, dead, LONG, positionsOf, release, retry, type StoreContract } from "../_store_bench.ts";

export const rewinding: readonly StoreContract[] = [
  contract("29", "rewind() makes the group read again from a position", async (bench) => {
    const all = await bench.append(5);
    const member = await bench.join();
    assertEquals(await bench.drain(member), all);
    assertEquals(await bench.admin.rewind("group", all[2]!), { dropped: 0, first: all[2] });
    const { lag, floor } = await bench.group();
    assertEquals({ lag, floor }, { lag: 3, floor: all[2] });
    const { disturbed, records } = await bench.claim(member);
    assertEquals(disturbed, true);
    assertEquals(positionsOf(records), all.slice(2));
    assert(records.every(({ attempt, recovered }) => attempt === 1 && recovered === 0));
    assertEquals(await member.settle(ack(records)), []);
    assertEquals((await bench.glance(member)).disturbed, false);
  }),

  contract("29", "rewind() makes the group read everything again from the beginning", async (bench) => {
    const all = await bench.append(3);
    const member = await bench.join();
    const taken = await bench.take(member, 2);
    assertEquals(await bench.admin.rewind("group", "beginning"), { dropped: 2, first: all[0] });
    assertEquals(await member.settle(ack(taken)), all.slice(0, 2));
    assertEquals(await bench.drain(member), all);
  }),

  contract("29", "rewind() to now skips to the next appended entry", async (bench) => {
    const [first] = await bench.append(4);
    const member = await bench.join();
    const taken = await bench.take(member, 1);
    assertEquals(await bench.admin.rewind("group", "now"), { dropped: 0, first: undefined });
    assertEquals((await bench.group()).lag, 0);
    const { records } = await bench.glance(member);
    assertEquals(records, []);
    const added = await bench.append(1);
    assertEquals(positionsOf(await bench.take(member)), added);
    // The delivery in progress is of an earlier entry, and continues.
    assertEquals((await bench.group()).floor, first);
    assertEquals(await member.settle(ack(taken)), []);
  }),

  contract(
    "27, 29",
    "rewind() to the beginning drops trimmed deliveries, rewind() to now keeps them",
    async (bench) => {
      const all = await bench.append(3);
      const member = await bench.join();
      const [given, held] = await bench.take(member, 2);
      await member.settle(dead([given!]));
      await bench.admin.trim({ maxLength: 0, force: true });
      await bench.admin.deadLetters("group").redrive();
      assertEquals(await bench.admin.rewind("group", "now"), { dropped: 0, first: undefined });
      const { records } = await bench.glance(member);
      assertEquals(positionsOf(records), [all[0]]);
      assertEquals(await bench.admin.rewind("group", "beginning"), { dropped: 2, first: undefined });
      assertEquals(await member.settle(ack([...records, held!])), all.slice(0, 2));
    },
  ),

  contract("29", "rewind() drops deliveries at or after its position and keeps earlier ones", async (bench) => {
    const all = await bench.append(8);
    const member = await bench.join();
    const taken = await bench.take(member, 6);
    await member.settle([
      ...retry([taken[0]!], 0),
      ...retry([taken[1]!], LONG, true),
      ...retry([taken[3]!], LONG),
      ...retry([taken[4]!], LONG, true),
    ]);
    assertEquals(await bench.admin.rewind("group", all[3]!), { dropped: 3, first: all[3] });
    assertEquals((await bench.group()).pending, 3);
    assertEquals((await member.renew(taken)).toSorted(), [all[0], all[3], all[4], all[5]]);
    assertEquals((await member.settle(ack(taken.slice(3)))).toSorted(), all.slice(3, 6));
    assertEquals(await member.settle(ack([taken[2]!])), []);
    const earlier = await bench.take(member);
    assertEquals(earlier.map(({ position, attempt }) => [position, attempt]), [[all[0], 2]]);
    const again = await bench.take(member);
    assertEquals(again.map(({ position, attempt }) => [position, attempt]), all.slice(3).map((it) => [it, 1]));
    assertEquals(await member.settle(ack(again)), []);
    assertEquals(await member.settle([...ack([taken[1]!]), ...ack(earlier)]), []);
    await bench.nothing(member);
  }),

  contract("29", "rewind() refuses old settles when the same member has the entry again", async (bench) => {
    const all = await bench.append(2);
    const member = await bench.join();
    const before = await bench.take(member);
    await bench.admin.rewind("group", "beginning");
    const after = await bench.take(member);
    assertEquals(positionsOf(after), all);
    for (const outcomes of [ack(before), retry(before, 0), release(before), dead(before)]) {
      assertEquals((await member.settle(outcomes)).toSorted(), all);
    }
    assertEquals((await member.renew(before)).toSorted(), all);
    assertEquals(await member.renew(after), []);
    assertEquals(await bench.letters(), []);
    assertEquals(await member.settle(ack(after)), []);
  }),

  contract("29", "rewind() disturbs every member once and wakes waiting claims", async (bench) => {
    const all = await bench.append(1);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    await a.settle(ack(await bench.take(a)));
    const woken = await bench.wake(a, () => bench.admin.rewind("group", all[0]!));
    assertEquals([woken.disturbed, positionsOf(woken.records)], [true, all]);
    const disturbed = await bench.claim(b);
    assertEquals([disturbed.disturbed, disturbed.records], [true, []]);
    await bench.nothing(b);
    const later = await bench.join("later");
    assertEquals((await bench.glance(later)).disturbed, false);
  }),

  contract("29", "rewind() moves to the next entry when the position lies between entries", async (bench) => {
    const all = [...await bench.append(2)];
    await bench.pass(5);
    all.push(...await bench.append(2));
    const member = await bench.join();
    await bench.drain(member);
    const between: Position = `${positionTime(all[1]!)}-1000000`;
    assertEquals(await bench.admin.rewind("group", between), { dropped: 0, first: all[2] });
    assertEquals(await bench.drain(member), all.slice(2));
    assertEquals(await bench.admin.rewind("group", "0-0"), { dropped: 0, first: all[0] });
    assertEquals(await bench.drain(member), all);
  }),

  contract("29, 34", "rewind() skips entries before a position in the future", async (bench) => {
    const [first] = await bench.append(3);
    const member = await bench.join();
    const [held] = await bench.take(member, 1);
    const soon: Position = `${positionTime(first!) + 1_000}-0`;
    assertEquals(await bench.admin.rewind("group", soon), { dropped: 0, first: undefined });
    await bench.append(2);
    assertEquals((await bench.glance(member)).records, []);
    assertEquals((await bench.group()).lag, 0);
    assertEquals(await member.settle(ack([held!])), []);
    bench.clock.advance(1_000);
    const added = await bench.append(2);
    assertEquals(await bench.drain(member), added);
  }, "clock"),

  contract("29", "rewind() moves one group only", async (bench) => {
    const all = await bench.append(2);
    const [a, b] = [await bench.join("a", { group: "one" }), await bench.join("b", { group: "two" })];
    const held = await bench.take(b);
    await bench.drain(a);
    await bench.admin.rewind("one", "beginning");
    assertEquals(await b.settle(ack(held)), []);
    assertEquals((await bench.glance(b)).disturbed, false);
    assertEquals(await bench.drain(a), all);
  }),

  contract("29", "rewind() keeps dead letters, and another failure adds another", async (bench) => {
    const [position] = await bench.append(1);
    const member = await bench.join();
    await member.settle(dead(await bench.take(member)));
    await bench.admin.rewind("group", "beginning");
    assertEquals((await bench.letters()).length, 1);
    await member.settle(dead(await bench.take(member)));
    assertEquals(positionsOf(await bench.letters()), [position, position]);
    assertEquals(await bench.admin.deadLetters("group").redrive(), 2);
    assertEquals(await bench.drain(member), [position]);
  }),

  contract("29", "rewind() rejects for a group that does not exist, and names the existing groups", async (bench) => {
    await bench.join("a", { group: "payments" });
    const error = await assertRejects(() => bench.admin.rewind("constructor", "now"), RangeError);
    assertStringIncludes(error.message, "payments");
    assertStringIncludes(error.message, "constructor");
    await assertRejects(() => bench.store.admin("Nothing").rewind("payments", "now"), RangeError);
  }),
];
