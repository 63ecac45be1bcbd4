import { assert, assertEquals } from "@std/assert";
import type { GroupMember } from "../../store/mod.ts";
import { ack, contract, dead, LONG, positionsOf, release, retry, type StoreContract } from "../_store_bench.ts";

const ALL = { maxLength: 0 };

export const trimming: readonly StoreContract[] = [
  contract("27", "trim() respects its bounds when there are no groups", async (bench) => {
    const all = await bench.append(10);
    assertEquals(await bench.admin.trim({}), { removed: 0, pinnedBy: undefined });
    assertEquals(await bench.admin.trim({ maxLength: 20 }), { removed: 0, pinnedBy: undefined });
    assertEquals(await bench.admin.trim({ maxLength: 6 }), { removed: 4, pinnedBy: undefined });
    assertEquals(positionsOf(await bench.read()), all.slice(4));
    assertEquals(await bench.admin.trim({ maxAge: LONG }), { removed: 0, pinnedBy: undefined });
    assertEquals(await bench.admin.trim({ maxAge: LONG, maxLength: 2 }), { removed: 4, pinnedBy: undefined });
    assertEquals(positionsOf(await bench.read()), all.slice(8));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: undefined });
    const { bytes, ...empty } = await bench.admin.info();
    assertEquals(empty, { length: 0, first: undefined, last: all[9], groups: [] });
    assert(bytes! < 20_000, `An empty stream takes ${bytes} bytes`);
    assertEquals(positionsOf(await bench.append(1).then(() => bench.read())).length, 1);
  }),

  contract("27", "trim() removes entries that are older than maxAge", async (bench) => {
    await bench.append(3);
    await bench.pass(bench.short * 2);
    const before = bench.now();
    const added = await bench.append(2);
    const { removed } = await bench.admin.trim({ maxAge: bench.short });
    // On a busy machine, the younger entries may have become as old as that.
    assert(bench.isSooner(before, bench.short) ? removed === 3 : removed >= 3, `${removed} were removed`);
    assertEquals(positionsOf(await bench.read()), removed === 3 ? added : []);
  }),

  contract("27", "trim() keeps an entry that is exactly maxAge old", async (bench) => {
    await bench.append(1);
    bench.clock.advance(1_000);
    assertEquals((await bench.admin.trim({ maxAge: 1_000 })).removed, 0);
    bench.clock.advance(1);
    assertEquals((await bench.admin.trim({ maxAge: 1_000 })).removed, 1);
  }, "clock"),

  contract("34", "trim() never causes a position to be given twice when all entries are gone", async (bench) => {
    const before = await bench.append(3);
    await bench.admin.trim(ALL);
    const [after] = await bench.append(1);
    assertEquals([...before, after].toSorted(), [...before, after]);
    assertEquals(new Set([...before, after]).size, 4);
  }),

  contract("27", "trim() never removes entries that a group has not read", async (bench) => {
    const all = await bench.append(5);
    const member = await bench.join();
    assertEquals(await bench.admin.trim(ALL), { removed: 0, pinnedBy: "group" });
    await member.settle(ack(await bench.take(member, 2)));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: "group" });
    assertEquals(positionsOf(await bench.read()), all.slice(2));
    assertEquals(await bench.admin.trim({ maxLength: 4 }), { removed: 0, pinnedBy: undefined });
    assertEquals(await bench.drain(member), all.slice(2));
    assertEquals(await bench.admin.trim(ALL), { removed: 3, pinnedBy: undefined });
  }),

  contract("27", "trim() never removes pending or parked entries", async (bench) => {
    const all = await bench.append(6);
    const member = await bench.join();
    const taken = await bench.take(member);
    await member.settle(ack(taken.slice(0, 2)));
    await member.settle(ack(taken.slice(3)));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: "group" });
    await member.settle(retry([taken[2]!], bench.short));
    assertEquals(await bench.admin.trim(ALL), { removed: 0, pinnedBy: "group" });
    await bench.pass(bench.short);
    const again = await bench.take(member);
    assertEquals(positionsOf(again), [all[2]]);
    await member.settle(release(again));
    assertEquals(await bench.admin.trim(ALL), { removed: 0, pinnedBy: "group" });
    await bench.drain(member);
    assertEquals(await bench.admin.trim(ALL), { removed: 4, pinnedBy: undefined });
  }),

  contract("22, 27", "trim() removes entries that are dead letters", async (bench) => {
    await bench.append(2);
    const member = await bench.join();
    await member.settle(dead(await bench.take(member)));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: undefined });
    assertEquals((await bench.letters()).length, 2);
  }),

  contract("27, 29", "trim() keeps entries that a rewound group reads again or still holds", async (bench) => {
    const all = await bench.append(6);
    const member = await bench.join();
    const taken = await bench.take(member);
    await member.settle(ack([...taken.slice(0, 1), ...taken.slice(2)]));
    await bench.admin.rewind("group", all[3]!);
    assertEquals(await bench.admin.trim(ALL), { removed: 1, pinnedBy: "group" });
    await member.settle(ack([taken[1]!]));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: "group" });
    assertEquals(await bench.drain(member), all.slice(3));
  }),

  contract("27", "trim() respects and names the group that is furthest behind", async (bench) => {
    await bench.append(6);
    const reads = { slow: 1, fast: 4, slower: 0 };
    const members = new Map<string, GroupMember>();
    for (const [group, limit] of Object.entries(reads)) {
      const member = await bench.join("a", { group });
      members.set(group, member);
      if (limit > 0) await member.settle(ack(await bench.take(member, limit)));
    }
    assertEquals(await bench.admin.trim(ALL), { removed: 0, pinnedBy: "slower" });
    await bench.drain(members.get("slower")!);
    assertEquals(await bench.admin.trim(ALL), { removed: 1, pinnedBy: "slow" });
    await bench.drain(members.get("slow")!);
    assertEquals(await bench.admin.trim(ALL), { removed: 3, pinnedBy: "fast" });
    assertEquals(await bench.admin.trim({ maxLength: 2 }), { removed: 0, pinnedBy: undefined });
  }),

  contract("27", "trim() with force removes unread entries, and the group goes on after them", async (bench) => {
    const all = await bench.append(5);
    const member = await bench.join();
    assertEquals((await bench.admin.trim({ maxLength: 2, force: true })).removed, 3);
    assertEquals((await bench.group()).lag, 2);
    assertEquals((await bench.group()).floor, all[3]);
    assertEquals(await bench.drain(member), all.slice(3));
  }),

  contract("27", "claim() reports a parked entry that was trimmed once, and never delivers it", async (bench) => {
    const all = await bench.append(4);
    const member = await bench.join();
    const taken = await bench.take(member, 3);
    await member.settle([...retry([taken[0]!], bench.short), ...release([taken[2]!])]);
    await bench.admin.trim({ maxLength: 1, force: true });
    // The consumer that holds it may still settle it.
    assertEquals(await member.renew([taken[1]!]), []);
    assertEquals(await member.settle(ack([taken[1]!])), []);
    await bench.pass(bench.short);
    const missing = [];
    const records = [];
    for (let calls = 0; calls < 4; calls++) {
      const claim = await bench.glance(member);
      missing.push(...claim.missing);
      records.push(...claim.records);
    }
    assertEquals(missing.toSorted(), [taken[0]!.position, taken[2]!.position]);
    assertEquals(positionsOf(records), [all[3]]);
    assertEquals((await bench.group()).pending, 1);
    await member.settle(ack(records));
    assertEquals((await bench.group()).floor, undefined);
  }),

  contract("27", "claim() reports a trimmed entry that a dead consumer held", async (bench) => {
    const all = await bench.append(2);
    await bench.die(2);
    await bench.admin.trim({ maxLength: 0, force: true });
    const { records, missing } = await bench.claim(await bench.join());
    assertEquals({ records, missing: missing.toSorted() }, { records: [], missing: all });
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("27", "trim() is not pinned by a delivery whose entry is gone", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const held = await bench.take(member);
    await bench.admin.trim({ maxLength: 0, force: true });
    await bench.append(2);
    await member.settle(ack(await bench.take(member)));
    assertEquals(await bench.admin.trim(ALL), { removed: 2, pinnedBy: undefined });
    assertEquals(await member.settle(ack(held)), []);
  }),

  contract("27", "claim() reports unread entries that were removed to each group once, with records", async (bench) => {
    const all = await bench.append(6);
    const ahead = await bench.join("a", { group: "ahead" });
    await ahead.settle(ack(await bench.take(ahead, 2)));
    const behind = await bench.join("a", { group: "behind" });
    await bench.admin.trim({ maxLength: 2, force: true });
    const claim = await bench.claim(ahead, 1);
    assertEquals([positionsOf(claim.records), claim.removed], [[all[4]], { from: all[2]!, to: all[3]!, count: 2 }]);
    assertEquals((await bench.claim(ahead, 1)).removed, undefined);
    assertEquals((await bench.claim(behind)).removed, { from: all[0]!, to: all[3]!, count: 4 });
    assertEquals((await bench.glance(behind)).removed, undefined);
  }),

  contract(
    "27",
    "claim() joins removed entries that were not reported yet, and one of two members reports them",
    async (bench) => {
      const all = await bench.append(5);
      await (await bench.join()).leave();
      await bench.admin.trim({ maxLength: 4, force: true });
      await bench.admin.trim({ maxLength: 1, force: true });
      const [one, two] = [await bench.join("one"), await bench.join("two")];
      const claim = await bench.claim(one);
      assertEquals([positionsOf(claim.records), claim.removed], [[all[4]], { from: all[0]!, to: all[3]!, count: 4 }]);
      assertEquals((await bench.glance(two)).removed, undefined);
    },
  ),

  contract(
    "27",
    "claim() reports no entries that were removed after they were settled, or before a rewind to them",
    async (bench) => {
      const all = await bench.append(4);
      const member = await bench.join();
      await member.settle(ack(await bench.take(member, 2)));
      assertEquals((await bench.admin.trim(ALL)).removed, 2);
      await bench.admin.rewind("group", all[0]!);
      const { records, removed } = await bench.claim(member);
      assertEquals([positionsOf(records), removed], [all.slice(2), undefined]);
      const late = await bench.join("a", { group: "late" });
      assertEquals((await bench.claim(late)).removed, undefined);
    },
  ),
];
