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
    for (let i = 0; i < 3; i++) {
      await bench.pass(bench.short * 0.4);
      assertEquals(await holder.renew([]), []);
      assertEquals(await holder.renew(taken), []);
    }
    await bench.nothing(other);
    assertEquals(await holder.settle(ack(taken)), []);
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
    // Entries that no consumer took may stay with the late one; they are not lost.
    if (lost.includes(second!)) assertEquals(await bench.drain(late), [second]);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("19", "renew() loses nothing when the lease expired and no consumer took anything", async (bench) => {
    await bench.append(2);
    const member = await bench.join("a", { lease: bench.short });
    const taken = await bench.take(member);
    await bench.pass(bench.short * 2);
    assertEquals(await member.renew(taken), []);
    await bench.nothing(await bench.join("other"));
    assertEquals(await member.settle(ack(taken)), []);
  }),

  contract("19", "renew() rejoins a consumer that was given up", async (bench) => {
    await bench.append(1);
    const late = await bench.join("late", { lease: bench.short });
    const lost = await bench.take(late);
    await bench.pass(bench.short);
    const taker = await bench.join("taker");
    await taker.settle(ack(await bench.take(taker)));
    assertEquals(await late.renew(lost), positionsOf(lost));
    const [position] = await bench.append(1);
    const taken = await bench.take(late);
    assertEquals(positionsOf(taken), [position]);
    await bench.nothing(taker);
    const { consumers } = await bench.group();
    assert(consumers.some(({ name, alive, pending }) => name === late.consumer && alive && pending === 1));
    assertEquals(await late.settle(ack(taken)), []);
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
    const due = bench.short * 3;
    await bench.die(1, "dead", (taken) => retry(taken, due, true));
    const member = await bench.join();
    await bench.nothing(member);
    const { records } = await bench.wake(member, () => bench.pass(due - bench.short));
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

  contract("20", "member() refuses the name of a live consumer, naming both", async (bench) => {
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

  contract("17, 20", "member() succeeds a dead consumer of its name and claims its deliveries", async (bench) => {
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

  contract("6, 20", "member() succeeds a consumer of its name that has left", async (bench) => {
    const first = await bench.join("a");
    assertEquals(await first.leave(), true);
    const second = await bench.join("a");
    assertNotEquals(second.consumer, first.consumer);
  }),

  contract("17, 20", "member() and claim() respect leases given by another store over the same data", async (bench) => {
    const [position] = await bench.append(1);
    const other = await bench.reopen();
    // A claim may have to connect first.
    const lease = 5 * bench.short;
    const dead = await bench.join("a", { lease, store: other });
    await bench.take(dead);
    bench.abandon(dead);
    const error = await assertRejects(() => bench.join("a"), StoreError);
    assertEquals(error.kind, "name-taken");
    await bench.pass(lease);
    const heir = await bench.join("a");
    assertEquals(positionsOf(await bench.take(heir)), [position]);
  }, "second-store"),

  contract("2, 6", "member() resumes where the group was when the store is opened again", async (bench) => {
    const all = await bench.append(4);
    const before = await bench.join("a");
    const [acked, failed, released, held] = await bench.take(before);
    // Opening a store may take a while.
    const due = 5 * bench.short;
    await before.settle([...ack([acked!]), ...retry([failed!], due), ...release([released!])]);
    await before.settle(retry([held!], LONG, true));
    await before.leave();
    const store = await bench.reopen();
    const after = await bench.join("a", { store, startFrom: "now" });
    assertEquals(positionsOf(await bench.take(after)), [all[2]]);
    await bench.nothing(after);
    await bench.pass(due);
    const [again] = await bench.take(after);
    assertEquals([again!.position, again!.attempt], [all[1], 2]);
    await bench.nothing(after);
    assertEquals((await bench.group()).pending, 3);
  }, "second-store"),
];
