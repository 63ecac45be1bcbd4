import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type GroupMember, StoreError } from "../../store/mod.ts";
import {
  ack,
  type Bench,
  contract,
  dead,
  defer,
  isolate,
  LONG,
  positionsOf,
  release,
  retry,
  type StoreContract,
} from "../_store_bench.ts";

async function assertOccupied(call: Promise<unknown>, holder: GroupMember | undefined): Promise<StoreError> {
  const error = await assertRejects(() => call, StoreError);
  assertEquals([error.kind, error.holder], ["occupied", holder?.consumer]);
  assertEquals(error.expiresIn === undefined, holder === undefined);
  assertStringIncludes(error.message, "group");
  return error;
}

/** An exclusive consumer that held its deliveries when its lease ran out. */
async function dieExclusively(
  bench: Bench,
  limit: number,
  consumer = "dead",
): Promise<{ member: GroupMember; records: Awaited<ReturnType<Bench["take"]>> }> {
  const member = await bench.join(consumer, { exclusive: true, lease: bench.short });
  const records = await bench.take(member, limit);
  bench.abandon(member);
  await bench.pass(bench.short);
  return { member, records };
}

export const excluding: readonly StoreContract[] = [
  contract("39", "member() lets no consumer join beside an exclusive one, and names it", async (bench) => {
    const alone = await bench.join("a", { exclusive: true });
    for (const exclusive of [true, false]) {
      const error = await assertOccupied(bench.join("b", { exclusive }), alone);
      assertStringIncludes(error.message, alone.consumer);
      assert(error.expiresIn! > 0 && error.expiresIn! <= LONG);
    }
    await bench.join("b", { group: "other" });
    await bench.join("b", { stream: "Other", exclusive: true });
    assertEquals((await bench.group()).consumers.map(({ name }) => name), [alone.consumer]);
    await alone.leave();
    await bench.join("b");
  }),

  contract("39", "member() lets an exclusive consumer join only once all others have left or died", async (bench) => {
    const first = await bench.join("a");
    const second = await bench.join("b", { lease: LONG * 2 });
    await assertOccupied(bench.join("c", { exclusive: true }), second);
    await second.leave();
    await assertOccupied(bench.join("c", { exclusive: true }), first);
    await first.leave();
    const third = await bench.join("c", { exclusive: true, lease: bench.short });
    bench.abandon(third);
    await bench.pass(bench.short);
    const fourth = await bench.join("d", { exclusive: true });
    assertNotEquals(fourth.consumer, third.consumer);
  }),

  contract("20, 39", "member() of an exclusive consumer refuses a name that is taken by that name", async (bench) => {
    const living = await bench.join("a", { exclusive: true });
    const error = await assertRejects(() => bench.join("a", { exclusive: true }), StoreError);
    assertEquals([error.kind, error.holder], ["name-taken", living.consumer]);
  }),

  contract("39", "claim() and renew() end an exclusive consumer once another one has joined", async (bench) => {
    await bench.append(3);
    const { member: late, records } = await dieExclusively(bench, 1);
    const next = await bench.join("next", { exclusive: true });
    await assertOccupied(late.renew(records), next);
    await assertOccupied(bench.claim(late), next);
    // Nothing was claimed by the late consumer: the next one gets everything.
    assertEquals((await bench.drain(next)).length, 3);
    await next.leave();
    await assertOccupied(late.renew([]), undefined);
    await assertOccupied(bench.claim(late), undefined);
    await bench.join("last");
    assertEquals(await late.leave(), true);
  }),

  contract("39", "renew() ends an exclusive consumer also if one that is not exclusive has joined", async (bench) => {
    const late = await bench.join("late", { exclusive: true, lease: bench.short });
    bench.abandon(late);
    await bench.pass(bench.short);
    const next = await bench.join("next");
    await assertOccupied(late.renew([]), next);
    await next.leave();
    await assertOccupied(late.renew([]), undefined);
  }),

  contract("19, 39", "renew() brings back an exclusive consumer while no other one has joined", async (bench) => {
    const all = await bench.append(3);
    const { member, records } = await dieExclusively(bench, 2);
    assertEquals(await member.renew(records), []);
    assertEquals(await member.settle(ack(records)), []);
    assertEquals(positionsOf(await bench.take(member)), all.slice(2));
  }),

  contract("39", "claim() and renew() of a dead consumer fail while an exclusive one is alive", async (bench) => {
    const all = await bench.append(2);
    const { member: late, records } = await bench.die(1);
    const alone = await bench.join("alone", { exclusive: true });
    await assertOccupied(late.renew(records), alone);
    await assertOccupied(bench.claim(late), alone);
    assertEquals(await late.settle(ack(records)), all.slice(0, 1));
    assertEquals(await bench.drain(alone), all);
    await alone.leave();
    assertEquals(await late.renew(records), all.slice(0, 1));
    await late.leave();
  }),

  contract("12, 39", "member() of an exclusive consumer ends all deliveries of dead ones at once", async (bench) => {
    const all = await bench.append(6);
    const { member: late, records } = await dieExclusively(bench, 5);
    const heir = await bench.join("heir", { exclusive: true });
    const [first] = await bench.take(heir, 1);
    assertEquals(first!.position, all[0]);
    // Those that the heir has not claimed are lost, too: they must not be settled before the first one.
    for (const settle of [ack, retryNow, holdLong, release, isolate, dead, deferTwo]) {
      assertEquals(await late.settle(settle(records)), all.slice(0, 5));
    }
    assertEquals(await bench.letters(), []);
    assertEquals(await heir.settle(ack([first!])), []);
    const rest = await bench.take(heir);
    assertEquals(rest.map(({ position, attempt, recovered }) => [position, attempt, recovered]), [
      ...all.slice(1, 5).map((position) => [position, 1, 1]),
    ]);
    assertEquals(await heir.settle(ack(rest)), []);
    assertEquals(positionsOf(await bench.take(heir)), all.slice(5));
  }),

  contract("12, 39", "settle() of a dead consumer is refused though the exclusive one has left", async (bench) => {
    const all = await bench.append(2);
    const { member: late, records } = await dieExclusively(bench, 2);
    await (await bench.join("alone", { exclusive: true })).leave();
    assertEquals(await late.settle(ack(records)), all);
    const taken = await bench.take(await bench.join("next", { exclusive: true }));
    assertEquals(positionsOf(taken), all);
  }),

  contract("39", "claim() of an exclusive consumer returns everything in order, whatever its state", async (bench) => {
    const all = await bench.append(10);
    const first = await bench.join("first", { exclusive: true, lease: bench.short });
    const taken = await bench.take(first, 8);
    const [zero, one, two, three, four, five, six, seven] = taken;
    assertEquals(await first.settle([...ack([two!]), ...dead([four!])]), []);
    const settled = bench.now();
    assertEquals(
      await first.settle([
        ...release([seven!]),
        ...retry([one!], LONG),
        ...retry([six!], 0),
        ...retry([three!], LONG, true),
        ...release([zero!], LONG),
      ]),
      [],
    );
    bench.abandon(first);
    await bench.pass(bench.short);
    const heir = await bench.join("heir", { exclusive: true });
    const claims = [await bench.take(heir, 2), await bench.take(heir, 1), await bench.take(heir, 10)];
    assertEquals(claims.map(positionsOf), [[all[0], all[1]], [all[3]], all.slice(5, 8)]);
    const records = claims.flat();
    assertEquals(records.map(({ attempt, recovered }) => [attempt, recovered]), [
      [1, 0],
      [2, 0],
      [2, 1],
      [1, 1],
      [2, 0],
      [1, 0],
    ]);
    const waiting = [true, true, true, false, false, false];
    assertEquals(records.map(({ dueIn }) => dueIn !== undefined), waiting);
    for (const { dueIn } of records.slice(0, 3)) {
      assert(dueIn! > 0 && dueIn! <= LONG - (bench.isSooner(settled, bench.short) ? 0 : bench.short - 5), `${dueIn}`);
    }
    assertEquals((await bench.group()).retrying, 3);
    assertEquals(five!.position, records[3]!.position);
    assertEquals(positionsOf(await bench.take(heir)), all.slice(8));
    assertEquals(await heir.settle(ack(records)), []);
    assertEquals((await bench.group()).pending, 2);
  }),

  contract("21, 39", "claim() of an exclusive consumer keeps the due time over its death", async (bench) => {
    const [position] = await bench.append(1);
    const delay = bench.short * 3;
    const first = await bench.join("first", { exclusive: true, lease: bench.short });
    const taken = await bench.take(first);
    const settled = bench.now();
    await first.settle(retry(taken, delay));
    const [early] = await bench.take(first);
    assertEquals([early!.position, early!.attempt], [position, 2]);
    assert(early!.dueIn! > 0 && early!.dueIn! <= delay);
    bench.abandon(first);
    await bench.pass(bench.short);
    // A consumer that is not exclusive gets it when it is due.
    const { records } = await bench.due(await bench.join("second"), settled, delay);
    assertEquals(records.map(({ attempt, recovered, dueIn }) => [attempt, recovered, dueIn]), [[2, 1, undefined]]);
  }),

  contract("21, 39", "leave() of an exclusive consumer keeps the due time of what it claimed early", async (bench) => {
    const [position] = await bench.append(1);
    const first = await bench.join("first", { exclusive: true });
    await first.settle(release(await bench.take(first), LONG));
    assertEquals(positionsOf(await bench.take(first)), [position]);
    await first.leave();
    await bench.nothing(await bench.join("second", { lease: bench.short }).then(abandoned(bench)));
    await bench.pass(bench.short);
    const [early] = await bench.take(await bench.join("third", { exclusive: true }));
    assertEquals([early!.position, early!.attempt], [position, 1]);
    assert(early!.dueIn! > 0);
  }),

  contract(
    "39",
    "claim() of an exclusive consumer returns its own retries at once, before new entries",
    async (bench) => {
      const all = await bench.append(4);
      const member = await bench.join("a", { exclusive: true });
      const taken = await bench.take(member, 3);
      await member.settle([...retry(taken.slice(1, 2), LONG), ...release(taken.slice(0, 1))]);
      const again = await member.claim({ limit: 100, signal: bench.signal, newFirst: true });
      assertEquals(again.records.map(({ position, attempt }) => [position, attempt]), [[all[0], 1], [all[1], 2]]);
      assertEquals(await member.settle(ack([...again.records, taken[2]!])), []);
      assertEquals(positionsOf(await bench.take(member)), all.slice(3));
      assertEquals((await bench.group()).pending, 1);
    },
  ),

  contract("39", "claim() of an exclusive consumer gets redriven letters before new entries", async (bench) => {
    const all = await bench.append(4);
    const member = await bench.join("a", { exclusive: true });
    await member.settle(dead(await bench.take(member, 3)));
    await bench.admin.trim({ maxLength: 2 });
    await bench.admin.deadLetters("group").redrive();
    const taken = await bench.take(member, 3);
    assertEquals(positionsOf(taken), all.slice(0, 3));
    // Copies of removed entries keep their place in the order, also after a death.
    await member.settle([...retry(taken.slice(0, 1), LONG), ...release(taken.slice(1))]);
    assertEquals((await bench.take(member, 2)).map(({ position }) => position), all.slice(0, 2));
    await member.leave();
    const heir = await bench.join("heir", { exclusive: true });
    assertEquals((await bench.take(heir, 3)).map(({ position, attempt }) => [position, attempt]), [
      [all[0], 2],
      [all[1], 1],
      [all[2], 1],
    ]);
    assertEquals(positionsOf(await bench.take(heir)), all.slice(3));
  }),

  contract("24, 39", "claim() of an exclusive consumer leaves deferred entries out of the order", async (bench) => {
    const all = await bench.append(3);
    const old = await bench.join("old", { exclusive: true });
    const taken = await bench.take(old, 2);
    await old.settle([...defer(taken.slice(0, 1), 2), ...ack(taken.slice(1))]);
    assertEquals(positionsOf(await bench.take(old)), all.slice(2));
    await old.leave();
    const current = await bench.join("current", { exclusive: true, version: 2 });
    assertEquals(await bench.drain(current), [all[0], all[2]]);
  }),

  contract("23, 39", "claim() of an exclusive consumer counts a death while a delivery ran alone", async (bench) => {
    await bench.append(2);
    const first = await bench.join("first", { exclusive: true, lease: bench.short });
    const [killer] = await bench.take(first);
    await first.settle(isolate([killer!]));
    bench.abandon(first);
    await bench.pass(bench.short);
    const taken = await bench.take(await bench.join("second", { exclusive: true }));
    assertEquals(taken.map(({ attempt, recovered }) => [attempt, recovered]), [[2, 1], [1, 1]]);
  }),

  contract("27, 39", "claim() of an exclusive consumer reports removed entries as any consumer", async (bench) => {
    const all = await bench.append(4);
    await dieExclusively(bench, 2);
    await bench.admin.trim({ maxLength: 1, force: true });
    const heir = await bench.join("heir", { exclusive: true });
    const [missing, records] = [[] as string[], [] as string[]];
    let removed = 0;
    while (records.length === 0) {
      const claim = await bench.claim(heir);
      missing.push(...claim.missing);
      records.push(...positionsOf(claim.records));
      removed += claim.removed === undefined ? 0 : 1;
      bench.signal.throwIfAborted();
    }
    assertEquals([missing.sort(), removed, records], [all.slice(0, 2), 1, all.slice(3)]);
    assertEquals((await bench.group()).pending, 1);
  }),

  contract("29, 39", "rewind() moves a group while its exclusive consumer runs", async (bench) => {
    const all = await bench.append(5);
    const member = await bench.join("a", { exclusive: true });
    const taken = await bench.take(member, 3);
    await bench.admin.rewind("group", all[1]!);
    const again: string[] = [];
    while (again.length < 4) again.push(...positionsOf((await bench.claim(member)).records));
    assertEquals(again, all.slice(1));
    assertEquals(await member.settle(ack(taken)), all.slice(1, 3));
  }),

  contract(
    "2, 39",
    "claim() of an exclusive consumer never misses an entry that is appended meanwhile",
    async (bench) => {
      const member = await bench.join("a", { exclusive: true });
      const expected: string[] = [];
      const appending = (async () => {
        for (let batch = 0; batch < 30; batch++) expected.push(...await bench.append(1 + batch % 7));
      })();
      const seen: string[] = [];
      let over = false;
      void appending.finally(() => over = true);
      while (!over || seen.length < expected.length) {
        const records = await bench.take(member, 5);
        seen.push(...positionsOf(records));
        assertEquals(await member.settle(ack(records)), []);
      }
      await appending;
      assertEquals(seen, expected);
    },
  ),

  contract("17, 39", "member() and claim() of an exclusive consumer hold over another store", async (bench) => {
    const all = await bench.append(4);
    const other = await bench.reopen();
    const first = await bench.join("a", { exclusive: true, lease: bench.short, store: other });
    await first.settle(retry(await bench.take(first, 2), LONG));
    await bench.take(first, 1);
    bench.abandon(first);
    await bench.pass(bench.short);
    const heir = await bench.join("b", { exclusive: true });
    assertEquals(positionsOf(await bench.take(heir)), all.slice(0, 2));
    assertEquals(positionsOf(await bench.take(heir)), all.slice(2));
    await assertOccupied(first.renew([]), heir);
    await assertOccupied(bench.join("c", { store: other }), heir);
  }, "second-store"),
];

const retryNow = (records: Parameters<typeof retry>[0]) => retry(records, 0);
const holdLong = (records: Parameters<typeof retry>[0]) => retry(records, LONG, true);
const deferTwo = (records: Parameters<typeof defer>[0]) => defer(records, 2);

function abandoned(bench: Bench): (member: GroupMember) => GroupMember {
  return (member) => (bench.abandon(member), member);
}
