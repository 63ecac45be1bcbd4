import { assert, assertEquals, assertNotEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Position, StoreError } from "../../store/mod.ts";
import {
  ack,
  contract,
  isolate,
  LONG,
  positionsOf,
  release,
  retry,
  sleep,
  type StoreContract,
} from "../_store_bench.ts";

export const leasing: readonly StoreContract[] = [
  contract("17", "claim() takes a dead consumer's deliveries and counts no attempt", async (bench) => {
    const all = await bench.append(3);
    const { member: dead } = await bench.die(2);
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals(positionsOf(taken), all.slice(0, 2));
    assert(taken.every(({ attempt, recovered }) => attempt === 1 && recovered === 1));
    assertEquals(positionsOf(await bench.take(member)), all.slice(2));
    assert(!(await bench.group()).consumers.some(({ name }) => name === dead.consumer));
  }),

  contract("17", "claim() removes a dead consumer that held nothing while it waits", async (bench) => {
    await bench.append(1);
    const dead = await bench.join("dead", { lease: bench.short });
    bench.abandon(dead);
    const member = await bench.join();
    await member.settle(ack(await bench.take(member)));
    await bench.wake(member, async () => {
      await bench.pass(bench.short);
      const isThere = async () => (await bench.group()).consumers.some(({ name }) => name === dead.consumer);
      while (await isThere()) {
        bench.signal.throwIfAborted();
        await sleep(5);
      }
      await bench.append(1);
    });
    assertEquals((await bench.group()).consumers.map(({ name }) => name), [member.consumer]);
  }),

  contract("17, 20", "claim() takes nothing from a consumer with a running lease", async (bench) => {
    await bench.append(1);
    const slow = await bench.join("slow", { lease: LONG });
    const hasty = await bench.join("hasty", { lease: bench.short });
    const taken = await bench.take(slow);
    await bench.pass(bench.short * 2);
    await bench.nothing(hasty);
    assertEquals(await slow.settle(ack(taken)), []);
  }),

  contract("20", "claim() judges a consumer by its own lease, not the claimer's", async (bench) => {
    const [position] = await bench.append(1);
    await bench.die(1, "hasty");
    assertEquals(positionsOf(await bench.take(await bench.join("slow", { lease: LONG }))), [position]);
  }),

  contract("20", "renew() keeps all deliveries of a consumer", async (bench) => {
    await bench.append(2);
    const [holder, other] = [await bench.join("holder", { lease: bench.short }), await bench.join("other")];
    const taken = await bench.take(holder);
    let renewed = 0;
    for (let i = 0; i < 3; i++) {
      await bench.pass(bench.short / 2);
      assertEquals(await holder.renew([]), []);
      renewed = bench.now();
      assertEquals(await holder.renew(taken), []);
    }
    assertEquals(await holder.settle(ack(taken.slice(1))), []);
    const { records } = await bench.due(other, renewed, bench.short);
    assertEquals(positionsOf(records), positionsOf(taken.slice(0, 1)));
  }),

  contract("12, 19", "renew() reports lost deliveries, and settle() refuses them", async (bench) => {
    const [first, second] = await bench.append(2);
    const late = await bench.join("late", { lease: bench.short });
    const taken = await bench.take(late);
    await bench.pass(bench.short);
    const taker = await bench.join("taker");
    const [stolen] = await bench.take(taker, 1);
    assertEquals(stolen!.position, first);
    const lost = await late.renew(taken);
    assertEquals(lost[0], first);
    assertEquals(await late.settle(ack(taken)), lost);
    assertEquals(await taker.settle(ack([stolen!])), []);
    // Entries that no other consumer took may stay with the late consumer.
    if (lost.includes(second!)) assertEquals(await bench.drain(late), [second]);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("19", "renew() loses nothing when the lease expired and no consumer took anything", async (bench) => {
    await bench.append(2);
    const member = await bench.join("a", { lease: bench.short });
    const taken = await bench.take(member);
    await bench.pass(bench.short * 2);
    const renewed = bench.now();
    assertEquals(await member.renew(taken), []);
    assertEquals(await member.settle(ack(taken.slice(1))), []);
    const { records } = await bench.due(await bench.join("other"), renewed, bench.short);
    assertEquals(positionsOf(records), positionsOf(taken.slice(0, 1)));
  }),

  contract("19", "renew() brings back a consumer that was declared dead", async (bench) => {
    await bench.append(1);
    const late = await bench.join("late", { lease: bench.short });
    const lost = await bench.take(late);
    await bench.pass(bench.short);
    const taker = await bench.join("taker");
    await taker.settle(ack(await bench.take(taker)));
    assertEquals(await late.renew(lost), positionsOf(lost));
    const all = await bench.append(2);
    const claimed = bench.now();
    const taken = await bench.take(late);
    assertEquals(positionsOf(taken), all);
    assertEquals(await late.settle(ack(taken.slice(1))), []);
    const { consumers } = await bench.group();
    assertEquals(consumers.find(({ name }) => name === late.consumer)?.pending, 1);
    const { records } = await bench.due(taker, claimed, bench.short);
    assertEquals(records.map(({ position, recovered }) => [position, recovered]), [[all[0], 1]]);
  }),

  contract("12, 19", "settle() refuses an older delivery of an entry that came back to its consumer", async (bench) => {
    const [position] = await bench.append(1);
    const a = await bench.join("a", { lease: bench.short });
    const first = await bench.take(a);
    await bench.pass(bench.short);
    const b = await bench.join("b");
    await b.settle(release(await bench.take(b)));
    const second = await bench.take(a);
    assertEquals(positionsOf(second), [position]);
    assertNotEquals(second[0]!.fence, first[0]!.fence);
    assertEquals(await a.renew(first), positionsOf(first));
    for (const outcomes of [ack(first), retry(first, 0), retry(first, 0, true), release(first), isolate(first)]) {
      assertEquals(await a.settle(outcomes), positionsOf(first));
    }
    assertEquals(await a.renew(second), []);
    assertEquals(await a.settle(ack(second)), []);
  }),

  contract("12, 19", "settle() refuses a delivery that this consumer does not hold", async (bench) => {
    const all = await bench.append(1);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const taken = await bench.take(a);
    assertEquals(await b.renew(taken), all);
    assertEquals(await b.settle(ack(taken)), all);
    const unknown: Position = "99999999999999-0";
    assertEquals(await a.settle([{ kind: "ack", position: unknown, fence: taken[0]!.fence }]), [unknown]);
    assertEquals(await a.settle(ack(taken)), []);
  }),

  contract("17, 21", "claim() takes a dead consumer's held retry no earlier than its due time", async (bench) => {
    const [position] = await bench.append(1);
    const delay = bench.short * 2;
    let settled = 0;
    await bench.die(1, "dead", (taken) => {
      settled = bench.now();
      return retry(taken, delay, true);
    });
    const { records } = await bench.due(await bench.join(), settled, delay);
    assertEquals(positionsOf(records), [position]);
    assertEquals([records[0]!.attempt, records[0]!.recovered], [2, 1]);
  }),

  contract("23", "claim() counts recoveries between failed attempts", async (bench) => {
    await bench.append(1);
    for (let deaths = 0; deaths < 3; deaths++) {
      const { records } = await bench.die(1, `dead${deaths}`);
      assertEquals([records[0]!.attempt, records[0]!.recovered], [1, deaths]);
    }
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals([taken[0]!.attempt, taken[0]!.recovered], [1, 3]);
    await member.settle(release(taken));
    const released = await bench.take(member);
    assertEquals([released[0]!.attempt, released[0]!.recovered], [1, 3]);
    await member.settle(retry(released, 0));
    const failed = await bench.take(member);
    assertEquals([failed[0]!.attempt, failed[0]!.recovered], [2, 0]);
  }),

  contract("23", "claim() counts a death as an attempt when the delivery ran exclusively", async (bench) => {
    const [first] = await bench.append(2);
    await bench.die(2, "dead0", ([killer]) => isolate([killer!]));
    const { records } = await bench.die(2, "dead1", ([killer]) => isolate([killer!]));
    assertEquals(records.map(({ attempt, recovered }) => [attempt, recovered]), [[2, 1], [1, 1]]);
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals(taken.map(({ attempt, recovered }) => [attempt, recovered]), [[3, 2], [1, 2]]);
    assertEquals(taken[0]!.position, first);
    // After its release the delivery was not exclusive when its next holder died.
    await member.settle([...isolate([taken[0]!]), ...release(taken)]);
    await bench.die(2, "dead2");
    assertEquals((await bench.take(member)).map(({ attempt }) => attempt), [3, 1]);
  }),

  contract("20", "member() refuses the name of a live consumer, and names both", async (bench) => {
    const living = await bench.join("a");
    const error = await assertRejects(() => bench.join("a"), StoreError);
    assertEquals(error.kind, "name-taken");
    assertStringIncludes(error.message, living.consumer);
    assertStringIncludes(error.message, `"a"`);
    assertEquals(error.holder, living.consumer);
    const again = await assertRejects(() => bench.join("a"), StoreError);
    assert(error.expiresIn! > 0 && again.expiresIn! <= error.expiresIn!);
    await bench.join("b");
    await bench.join("a", { group: "other" });
    await bench.join("a", { stream: "Other" });
    assertEquals((await bench.group()).consumers.length, 2);
  }),

  contract("17, 20", "member() takes over the name and the deliveries of a dead consumer", async (bench) => {
    const all = await bench.append(2);
    const { member: dead } = await bench.die(2, "a");
    const heir = await bench.join("a");
    assertNotEquals(heir.consumer, dead.consumer);
    const taken = await bench.take(heir);
    assertEquals(positionsOf(taken), all);
    assert(taken.every(({ recovered }) => recovered === 1));
    const error = await assertRejects(() => dead.renew([]), StoreError);
    assertEquals(error.kind, "name-taken");
  }),

  contract("6, 20", "member() takes over the name of a consumer that has left", async (bench) => {
    const first = await bench.join("a");
    assertEquals(await first.leave(), true);
    const second = await bench.join("a");
    assertNotEquals(second.consumer, first.consumer);
  }),

  contract("17, 20", "member() and claim() respect leases given by another store over the same data", async (bench) => {
    const all = await bench.append(2);
    const other = await bench.reopen();
    const living = await bench.join("a", { store: other });
    await bench.take(living, 1);
    const error = await assertRejects(() => bench.join("a"), StoreError);
    assertEquals(error.kind, "name-taken");
    const dead = await bench.join("b", { lease: bench.short, store: other });
    await bench.take(dead);
    bench.abandon(dead);
    await bench.pass(bench.short);
    const heir = await bench.join("b");
    assertEquals(positionsOf(await bench.take(heir)), all.slice(1));
    await bench.nothing(heir);
  }, "second-store"),

  contract("2, 6", "member() resumes where the group was when the store is opened again", async (bench) => {
    const all = await bench.append(4);
    const before = await bench.join("a");
    const [acked, failed, released, held] = await bench.take(before);
    const settled = bench.now();
    await before.settle([...ack([acked!]), ...retry([failed!], bench.short), ...release([released!])]);
    await before.settle(retry([held!], LONG, true));
    await before.leave();
    const store = await bench.reopen();
    const after = await bench.join("a", { store, startFrom: "now" });
    const collected = await bench.collect(after, 2, settled);
    const taken = new Map(collected.map(([{ position, attempt }, passed]) => [position, { attempt, passed }]));
    assertEquals([taken.size, taken.get(all[2]!)?.attempt, taken.get(all[1]!)?.attempt], [2, 1, 2]);
    bench.assertAfter(bench.short, taken.get(all[1]!)!.passed);
    await bench.nothing(after);
    assertEquals((await bench.group()).pending, 3);
  }, "second-store"),
];
