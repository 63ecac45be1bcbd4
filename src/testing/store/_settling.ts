import { assertEquals } from "@std/assert";
import {
  ack,
  contract,
  dead,
  isolate,
  LONG,
  positionsOf,
  release,
  retry,
  type StoreContract,
} from "../_store_bench.ts";

export const settling: readonly StoreContract[] = [
  contract("1, 6", "settle() acknowledges deliveries permanently", async (bench) => {
    const all = await bench.append(3);
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals((await bench.group()).pending, 3);
    assertEquals(await member.settle(ack([taken[1]!])), []);
    assertEquals((await bench.group()).pending, 2);
    assertEquals(await member.settle(ack([taken[2]!, taken[0]!])), []);
    await bench.nothing(member);
    const { pending, lag, floor } = await bench.group();
    assertEquals({ pending, lag, floor }, { pending: 0, lag: 0, floor: undefined });
    assertEquals(positionsOf(await bench.read()), all);
  }),

  contract("12", "settle() refuses a delivery that is already settled", async (bench) => {
    await bench.append(4);
    const member = await bench.join();
    const [acked, failed, released, buried] = await bench.take(member);
    const outcomes = [
      ...ack([acked!]),
      ...retry([failed!], bench.short),
      ...release([released!], bench.short),
      ...dead([buried!]),
    ];
    const positions = outcomes.map(({ position }) => position);
    assertEquals(await member.settle(outcomes), []);
    assertEquals((await member.settle(outcomes)).toSorted(), positions);
    assertEquals((await bench.letters()).length, 1);
    await bench.pass(bench.short);
    const again = await bench.take(member);
    assertEquals(again.map(({ attempt }) => attempt), [2, 1]);
    assertEquals((await member.settle(outcomes)).toSorted(), positions);
    assertEquals(await member.settle(ack(again)), []);
  }),

  contract("12", "settle() applies valid outcomes when others of the same call are refused", async (bench) => {
    const all = await bench.append(2);
    const member = await bench.join();
    const [one, two] = await bench.take(member);
    await member.settle(ack([one!]));
    assertEquals(await member.settle([...ack([one!]), ...ack([two!])]), all.slice(0, 1));
    assertEquals((await bench.group()).pending, 0);
    assertEquals(await member.settle([]), []);
  }),

  contract("4, 21", "settle() counts an attempt with every retry", async (bench) => {
    await bench.append(1);
    const members = [await bench.join("a"), await bench.join("b")];
    for (let attempt = 1; attempt <= 5; attempt++) {
      const member = members[attempt % 2]!;
      const taken = await bench.take(member);
      assertEquals(taken[0]!.attempt, attempt);
      assertEquals(await member.settle(retry(taken, 0)), []);
    }
  }),

  contract("21", "settle() keeps due times independent of each other and of new entries", async (bench) => {
    await bench.append(3);
    const member = await bench.join();
    const [one, two, three] = await bench.take(member);
    const settled = bench.now();
    await member.settle([...retry([one!], bench.short * 2), ...retry([two!], bench.short), ...retry([three!], LONG)]);
    const [added] = await bench.append(1);
    const collected = await bench.collect(member, 3, settled);
    const passed = new Map(collected.map(([{ position }, passed]) => [position, passed]));
    assertEquals([passed.size, passed.has(three!.position)], [3, false]);
    bench.assertAfter(0, passed.get(added!)!);
    bench.assertAfter(bench.short, passed.get(two!.position)!);
    bench.assertAfter(bench.short * 2, passed.get(one!.position)!);
    await bench.nothing(member);
  }),

  contract("9, 21", "settle() leaves a held retry with its consumer, also when it is due", async (bench) => {
    await bench.append(1);
    const [holder, other] = [await bench.join("holder"), await bench.join("other")];
    const taken = await bench.take(holder);
    assertEquals(await holder.settle(retry(taken, bench.short, true)), []);
    await bench.pass(bench.short);
    await bench.nothing(other);
    await bench.nothing(holder);
    assertEquals(await holder.renew(taken), []);
    assertEquals(await holder.settle(retry([{ ...taken[0]!, attempt: 2 }], bench.short)), []);
    await bench.pass(bench.short);
    const again = await bench.take(other);
    assertEquals(again[0]!.attempt, 3);
    assertEquals(await other.settle(ack(again)), []);
  }),

  contract("9, 21", "settle() counts a held retry once, however often it is sent", async (bench) => {
    const all = await bench.append(2);
    const [holder, other] = [await bench.join("holder"), await bench.join("other")];
    const taken = await bench.take(holder);
    const held = retry(taken, LONG, true);
    for (let times = 0; times < 3; times++) assertEquals(await holder.settle(held), []);
    // The second attempt of one fails too, and the first retry is sent again after it.
    const second = retry([{ ...taken[0]!, attempt: 2 }], LONG, true);
    assertEquals(await holder.settle([...second, ...second, ...held]), []);
    assertEquals((await bench.group()).retrying, 2);
    assertEquals(await holder.settle(release(taken)), []);
    const again = await bench.take(other);
    assertEquals(again.map(({ position, attempt }) => [position, attempt]), [[all[0], 3], [all[1], 2]]);
    assertEquals(await other.settle(ack(again)), []);
  }),

  contract("6, 32", "settle() releases at once or after a delay, uncounted", async (bench) => {
    const [first, second] = await bench.append(2);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const [one, two] = await bench.take(a);
    assertEquals(await a.settle(release([one!])), []);
    const now = await bench.take(b);
    assertEquals(now.map(({ position, attempt }) => [position, attempt]), [[first, 1]]);
    const settled = bench.now();
    assertEquals(await a.settle(release([two!], bench.short)), []);
    const { records } = await bench.due(b, settled, bench.short);
    assertEquals(records.map(({ position, attempt }) => [position, attempt]), [[second, 1]]);
  }),

  contract("9, 32", "settle() releases a held retry at once", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const taken = await bench.take(member);
    await member.settle(retry(taken, LONG, true));
    assertEquals(await member.settle(release(taken)), []);
    assertEquals((await bench.take(member))[0]!.attempt, 2);
  }),

  contract("4, 6", "settle() keeps the attempt count over a release", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    await member.settle(retry(await bench.take(member), 0));
    await member.settle(release(await bench.take(member)));
    assertEquals((await bench.take(member))[0]!.attempt, 2);
  }),

  contract("23", "settle() keeps an isolated delivery with its consumer", async (bench) => {
    await bench.append(1);
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals(await member.settle(isolate(taken)), []);
    assertEquals(await member.settle(isolate(taken)), []);
    await bench.nothing(member);
    assertEquals(await member.settle(ack(taken)), []);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("8, 32", "leave() releases all deliveries, uncounted, keeping due times", async (bench) => {
    const all = await bench.append(4);
    const [leaver, other] = [await bench.join("leaver"), await bench.join("other")];
    const [one, two, three] = await bench.take(leaver);
    const settled = bench.now();
    await leaver.settle([...retry([one!], bench.short, true), ...retry([two!], bench.short), ...isolate([three!])]);
    assertEquals(await leaver.leave(), true);
    assertEquals((await bench.group()).consumers.map(({ name }) => name), [other.consumer]);
    const collected = await bench.collect(other, 4, settled);
    assertEquals(collected.map(([{ position }]) => position).toSorted(), all);
    for (const [{ position, attempt, recovered }, passed] of collected) {
      const failed = position === one!.position || position === two!.position;
      assertEquals([attempt, recovered], [failed ? 2 : 1, 0]);
      bench.assertAfter(failed ? bench.short : 0, passed);
    }
  }),

  contract("12, 32", "leave() makes late settles refused", async (bench) => {
    const all = await bench.append(2);
    const [leaver, other] = [await bench.join("leaver"), await bench.join("other")];
    const taken = await bench.take(leaver);
    await leaver.leave();
    assertEquals(await leaver.settle(ack(taken)), all);
    assertEquals(await bench.drain(other), all);
  }),

  contract("32", "leave() ends a waiting claim and may be called twice", async (bench) => {
    const member = await bench.join();
    const { records } = await bench.wake(member, () => member.leave());
    assertEquals(records, []);
    assertEquals(await member.leave(), true);
    assertEquals((await bench.group()).consumers, []);
    const all = await bench.append(1);
    assertEquals(positionsOf(await bench.take(await bench.join())), all);
  }),

  contract("7, 32", "leave() loses nothing when ten members leave at once", async (bench) => {
    const all = await bench.append(30);
    const members = await Promise.all(Array.from({ length: 10 }, (_, index) => bench.join(`c${index}`)));
    await Promise.all(members.map((member) => bench.take(member, 2)));
    assertEquals(await Promise.all(members.map((member) => member.leave())), members.map(() => true));
    assertEquals((await bench.drain(await bench.join())).toSorted(), all.toSorted());
  }),
];
