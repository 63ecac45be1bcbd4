import { assertEquals, assertRejects } from "@std/assert";
import type { ClaimedRecord, GroupMember } from "../../store/mod.ts";
import { ack, contract, dead, LONG, release, retry, type StoreContract } from "../_store_bench.ts";

const only = async (member: GroupMember, record: ClaimedRecord) => ({ ...await member.kept(record) });

/** Contracts of what consumers keep beside a delivery, and of events that are not handled any more. */
export const keeping: readonly StoreContract[] = [
  contract("55", "settle() counts expired events, and acknowledges them", async (bench) => {
    await bench.append(3);
    const member = await bench.join();
    const [first, second, third] = await bench.take(member);
    assertEquals(await member.settle([{ kind: "expire", position: first!.position, fence: first!.fence }]), []);
    await member.settle(retry([second!], 0));
    const [again] = await bench.take(member);
    const late = { kind: "expire", position: second!.position, fence: second!.fence } as const;
    assertEquals(await member.settle([late]), [second!.position]);
    assertEquals(await member.settle([{ ...late, fence: again!.fence }, ...ack([third!])]), []);
    const { expired, skipped, pending, deadLetters } = await bench.group();
    assertEquals({ expired, skipped, pending, deadLetters }, { expired: 2, skipped: 0, pending: 0, deadLetters: 0 });
    await bench.nothing(member);
  }),

  contract(
    "54",
    "keep() keeps texts beside a delivery, through retries, releases and other consumers",
    async (bench) => {
      await bench.append(2);
      const member = await bench.join("one");
      const [first, second] = await bench.take(member);
      assertEquals(await only(member, first!), {});
      assertEquals(await member.keep(first!, "charge", "{}"), true);
      assertEquals(await member.keep(first!, "mail", '"ä ü\\n 😀"'), true);
      assertEquals(await member.keep(first!, "charge", "[1, 2]"), true);
      const kept = { charge: "[1, 2]", mail: '"ä ü\\n 😀"' };
      assertEquals(await only(member, first!), kept);
      assertEquals(await only(member, second!), {});
      await member.settle([...ack([second!]), ...retry([first!], 0)]);
      const [retried] = await bench.take(member);
      assertEquals([retried!.attempt, await only(member, retried!)], [2, kept]);
      await member.settle(release([retried!]));
      const other = await bench.join("two");
      const [released] = await bench.take(other);
      assertEquals(await only(other, released!), kept);
      assertEquals(await other.settle(ack([released!])), []);
      assertEquals((await bench.group()).pending, 0);
    },
  ),

  contract("54", "keep() keeps texts of an uncounted delivery, which a release and an ack end", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const [first] = await bench.take(member);
    await member.keep(first!, "a", "1");
    await member.settle(release([first!]));
    const [again] = await bench.take(member);
    assertEquals([again!.attempt, again!.recovered, await only(member, again!)], [1, 0, { a: "1" }]);
    assertEquals(await member.settle(ack([again!])), []);
    await bench.admin.rewind("group", "beginning");
    const [anew] = await bench.take(member);
    assertEquals(await only(member, anew!), {});
    await member.keep(anew!, "b", "2");
    await bench.admin.rewind("group", "beginning");
    const [rewound] = await bench.take(member);
    assertEquals(await only(member, rewound!), {});
    await member.settle(ack([rewound!]));
  }),

  contract("54, 17", "keep() keeps texts for the consumer that takes over, and refuses a late one", async (bench) => {
    await bench.append(1);
    let late: ClaimedRecord;
    const { member: gone } = await bench.die(1, "dead", ([taken]) => {
      late = taken!;
      return [];
    });
    const heir = await bench.join("heir", { lease: LONG });
    const [taken] = await bench.take(heir);
    assertEquals(taken!.recovered, 1);
    assertEquals(await gone.keep(late!, "late", "1"), false);
    assertEquals(await only(heir, taken!), {});
    assertEquals(await heir.keep(taken!, "own", "2"), true);
    assertEquals(await heir.settle(retry([taken!], 0, true)), []);
    assertEquals(await only(heir, taken!), { own: "2" });
    assertEquals(await heir.settle(ack([taken!])), []);
    assertEquals(await heir.keep(taken!, "over", "3"), false);
  }),

  contract("54, 25", "keep() ends with a dead letter: a redriven event begins without", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const [taken] = await bench.take(member);
    await member.keep(taken!, "a", "1");
    await member.settle(dead([taken!]));
    assertEquals(await bench.admin.deadLetters("group").redrive(), 1);
    const [redriven] = await bench.take(member);
    assertEquals(await only(member, redriven!), {});
  }),

  contract("54, 31", "keep() refuses too many texts, and too long ones", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const [taken] = await bench.take(member);
    for (let n = 0; n < 64; n++) assertEquals(await member.keep(taken!, `n${n}`, "1"), true);
    await assertRejects(() => member.keep(taken!, "one more", "1"), RangeError, "64 answers");
    assertEquals(await member.keep(taken!, "n0", "x".repeat(60_000)), true);
    await assertRejects(() => member.keep(taken!, "n1", "ü".repeat(3_000)), RangeError, "65536 bytes");
    assertEquals(Object.keys(await member.kept(taken!)).length, 64);
  }),
];
