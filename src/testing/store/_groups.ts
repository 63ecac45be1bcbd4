import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { type Position, positionTime, StoreError, type StoreErrorKind } from "../../store/mod.ts";
import { ack, contract, dead, LONG, positionsOf, retry, type StoreContract } from "../_store_bench.ts";

async function assertFails(kind: StoreErrorKind, act: () => Promise<unknown>): Promise<StoreError> {
  const error = await assertRejects(act, StoreError);
  assertEquals(error.kind, kind);
  return error;
}

export const grouping: readonly StoreContract[] = [
  contract("38", "member() refuses a consumer of other types than the group is for, naming both", async (bench) => {
    const types = ["Ended", "Placed"];
    await bench.join("a", { group: "typed", types });
    await bench.join("b", { group: "typed", types });
    for (const other of [{}, { types: ["Ended"] }, { types: ["Ended", "Other"] }]) {
      const { message } = await assertFails("types-differ", () => bench.join("c", { group: "typed", ...other }));
      assertStringIncludes(message, "the group is for Ended, Placed");
      assertStringIncludes(message, other.types?.join(", ") ?? "the stream's own type");
    }
    await bench.join("a", { group: "own" });
    const { message } = await assertFails("types-differ", () => bench.join("b", { group: "own", types }));
    assertStringIncludes(message, "the group is for the stream's own type");
    assertEquals([(await bench.group("typed")).types, (await bench.group("own")).types], [types, undefined]);
  }),

  contract("38", "alterGroup() changes the types once no consumer is alive", async (bench) => {
    const types = ["Ended", "Placed"];
    const member = await bench.join("a");
    const { message } = await assertFails("group-busy", () => bench.admin.alterGroup("group", { types }));
    assertStringIncludes(message, member.consumer);
    await member.leave();
    await bench.admin.alterGroup("group", { types });
    assertEquals((await bench.group()).types, types);
    await (await bench.join("b", { types })).leave();
    await bench.admin.alterGroup("group", { types: undefined });
    assertEquals((await bench.group()).types, undefined);
    await assertRejects(() => bench.admin.alterGroup("unknown", { types }), RangeError, '"group"');
  }),

  contract(
    "11, 38",
    "a consumer that missed alterGroup() gets nothing of the new types, and settles nothing",
    async (bench) => {
      const [types, other] = [["Placed"], ["Ended"]];
      await bench.append(2);
      const late = await bench.join("late", { types, lease: bench.short });
      const [held] = await bench.take(late, 1);
      bench.abandon(late);
      await bench.pass(bench.short);
      await bench.admin.alterGroup("group", { types: other });
      const skip = { kind: "skip", position: held!.position, fence: held!.fence } as const;
      for (const call of [() => bench.claim(late), () => late.renew([held!])]) {
        const { message } = await assertFails("types-differ", call);
        assertStringIncludes(message, "for Placed: the group is for Ended");
      }
      assertEquals(await late.settle([skip]), [held!.position]);
      assertEquals(await late.leave(), true);
      const { pending, lag, skipped } = await bench.group();
      assertEquals([pending, lag, skipped], [1, 1, 0]);

      const member = await bench.join("a", { types: other });
      const records = await bench.take(member);
      assertEquals(records.map(({ position, recovered }) => [position, recovered]), [[held!.position, 1]]);
      assertEquals(await late.settle([skip]), [held!.position]);
      assertEquals(await member.settle(ack(records)), []);
      assertEquals((await bench.drain(member)).length, 1);
    },
  ),

  contract("38", "a consumer that missed two alterGroup() calls goes on when its types are back", async (bench) => {
    await bench.append(2);
    const member = await bench.join("a", { types: ["Placed"], lease: bench.short });
    const records = await bench.take(member, 1);
    await bench.pass(bench.short);
    await bench.admin.alterGroup("group", { types: undefined });
    await bench.admin.alterGroup("group", { types: ["Placed"] });
    assertEquals(await member.settle(ack(records)), []);
    assertEquals((await bench.drain(member)).length, 1);
  }),

  contract("38", "settle() with skip settles a delivery and counts it once", async (bench) => {
    await bench.append(4);
    const member = await bench.join("a");
    const records = await bench.take(member, 4);
    const skips = records.slice(0, 3).map(({ position, fence }) => ({ kind: "skip", position, fence } as const));
    assertEquals(await member.settle(skips), []);
    assertEquals(await member.settle(skips), positionsOf(records.slice(0, 3)));
    assertEquals(await member.settle(ack(records.slice(3))), []);
    const { pending, skipped, lag } = await bench.group();
    assertEquals([pending, skipped, lag], [0, 3, 0]);
  }),

  contract("31", "writeRefusal() gives no reason while the store takes appends, and changes nothing", async (bench) => {
    assertEquals(await bench.admin.writeRefusal(), undefined);
    assertEquals(await bench.admin.info(), { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] });
    await bench.append(2);
    const before = await bench.admin.info();
    assertEquals(await bench.admin.writeRefusal(), undefined);
    assertEquals(await bench.admin.info(), before);
  }),

  contract("14", "member() starts a new group at the beginning, now, or at a position", async (bench) => {
    const all = await bench.append(4);
    const begin = async (group: string, startFrom: "beginning" | "now" | Position) => {
      const member = await bench.join("a", { group, startFrom });
      return async () => positionsOf((await bench.glance(member)).records);
    };
    const beginning = await begin("beginning", "beginning");
    const now = await begin("now", "now");
    const third = await begin("third", all[2]!);
    const before = await begin("before", "0-0");
    const added = await bench.append(1);
    assertEquals(await beginning(), [...all, ...added]);
    assertEquals(await now(), added);
    assertEquals(await third(), [...all.slice(2), ...added]);
    assertEquals(await before(), [...all, ...added]);
  }),

  contract("14", "member() starts a new group on a stream that is still empty", async (bench) => {
    const [a, b] = [
      await bench.join("a", { group: "beginning" }),
      await bench.join("b", { group: "now", startFrom: "now" }),
    ];
    const all = await bench.append(2);
    assertEquals(await bench.drain(a), all);
    assertEquals(await bench.drain(b), all);
  }),

  contract("14, 34", "member() starts a new group at a position in the future", async (bench) => {
    const [first] = await bench.append(1);
    const soon: Position = `${positionTime(first!) + 1_000}-0`;
    const member = await bench.join("a", { startFrom: soon });
    const { lag, floor } = await bench.group();
    assertEquals({ lag, floor }, { lag: 0, floor: undefined });
    await bench.append(2);
    await bench.nothing(member);
    assertEquals((await bench.admin.trim({ maxLength: 0 })).removed, 3);
    bench.clock.advance(1_000);
    const added = await bench.append(2);
    assertEquals(await bench.drain(member), added);
  }, "clock"),

  contract("14", "member() uses startFrom only for a new group", async (bench) => {
    const all = await bench.append(2);
    const first = await bench.join("a");
    await first.leave();
    const second = await bench.join("b", { startFrom: "now" });
    assertEquals(await bench.drain(second), all);
    await second.leave();
    await bench.nothing(await bench.join("c", { startFrom: "beginning" }));
  }),

  contract("14", "member() starts a new group after trimmed entries", async (bench) => {
    const all = await bench.append(4);
    await bench.admin.trim({ maxLength: 2 });
    assertEquals(await bench.drain(await bench.join("a", { group: "one" })), all.slice(2));
    assertEquals(await bench.drain(await bench.join("a", { group: "two", startFrom: all[0]! })), all.slice(2));
  }),

  contract("31", "info() shows the stream and the remaining work of each group", async (bench) => {
    const all = await bench.append(6);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const [one, two, three] = await bench.take(a, 3);
    const [four] = await bench.take(b, 1);
    await a.settle([...ack([one!]), ...retry([two!], LONG), ...retry([three!], LONG, true)]);
    await b.settle(dead([four!]));
    const info = await bench.admin.info();
    assertEquals([info.length, info.first, info.last], [6, all[0], all[5]]);
    const { consumers, oldestDeadLetter, ...group } = await bench.group();
    assertEquals(oldestDeadLetter, (await bench.letters())[0]!.lastFailedAt);
    assertEquals(group, {
      name: "group",
      pending: 2,
      retrying: 2,
      deferred: [],
      types: undefined,
      skipped: 0,
      expired: 0,
      whenDead: "continue",
      held: { keys: 0, waiting: 0, from: undefined },
      deadLetters: 1,
      lag: 2,
      lagIsExact: true,
      floor: all[1],
      control: undefined,
    });
    assertEquals(
      consumers.toSorted((x, y) => x.name < y.name ? -1 : 1),
      [
        { name: a.consumer, pending: 1, alive: true, stalled: false },
        { name: b.consumer, pending: 0, alive: true, stalled: false },
      ],
    );
    const taken = await bench.take(b);
    await b.settle(retry(taken, bench.short));
    await bench.pass(bench.short);
    await bench.take(b);
    assertEquals((await bench.group()).retrying, 2);
  }),

  contract("17", "info() shows which consumers are alive", async (bench) => {
    await bench.append(1);
    const { member: dead } = await bench.die(1);
    const living = await bench.join("a", { lease: LONG });
    const consumers = new Map((await bench.group()).consumers.map((consumer) => [consumer.name, consumer]));
    assertEquals(consumers.get(dead.consumer), { name: dead.consumer, pending: 1, alive: false, stalled: false });
    assertEquals(consumers.get(living.consumer)?.alive, true);
  }),

  contract("31", "info() shows a consumer as stalled when renew() says so", async (bench) => {
    const member = await bench.join();
    const stalled = async () => (await bench.group()).consumers.map((consumer) => consumer.stalled);
    await member.renew([], { stalled: true });
    assertEquals(await stalled(), [true]);
    await member.renew([]);
    assertEquals(await stalled(), [true]);
    await member.renew([], { stalled: false });
    assertEquals(await stalled(), [false]);
  }),

  contract("11", "info() and other reads create no group or stream", async (bench) => {
    await bench.append(1);
    await bench.admin.deadLetters("group").redrive();
    await bench.admin.deadLetters("group").discard();
    assertEquals(await bench.letters(), []);
    assertEquals((await bench.admin.info()).groups, []);
  }),

  contract("32", "removeGroup() refuses while something would be lost, and names it", async (bench) => {
    assertEquals(await bench.admin.removeGroup("group"), false);
    const member = await bench.join();
    const living = await assertFails("group-busy", () => bench.admin.removeGroup("group"));
    assertStringIncludes(living.message, member.consumer);
    const [position] = await bench.append(1);
    await member.settle(retry(await bench.take(member), bench.short));
    await member.leave();
    const pending = await assertFails("group-busy", () => bench.admin.removeGroup("group"));
    assertStringIncludes(pending.message, "1 unsettled");
    await bench.pass(bench.short);
    const next = await bench.join();
    await next.settle(dead(await bench.take(next)));
    await next.leave();
    const letters = await assertFails("group-busy", () => bench.admin.removeGroup("group"));
    assertStringIncludes(letters.message, "1 dead letter");
    assertEquals(positionsOf(await bench.letters()), [position]);
    await bench.admin.deadLetters("group").discard();
    assertEquals(await bench.admin.removeGroup("group"), true);
    assertEquals(await bench.admin.removeGroup("group"), false);
    assertEquals((await bench.admin.info()).groups, []);
  }),

  contract("27", "removeGroup() unpins entries that the group kept from being trimmed", async (bench) => {
    await bench.append(2);
    await (await bench.join()).leave();
    assertEquals((await bench.admin.trim({ maxLength: 0 })).pinnedBy, "group");
    assertEquals(await bench.admin.removeGroup("group"), true);
    assertEquals(await bench.admin.trim({ maxLength: 0 }), { removed: 2, pinnedBy: undefined });
  }),

  contract("12", "removeGroup() with force takes all deliveries from its members", async (bench) => {
    const all = await bench.append(3);
    const [a, b] = [await bench.join("a"), await bench.join("b")];
    const [first, ...held] = await bench.take(a);
    await a.settle(dead([first!]));
    const waiting = bench.claim(b);
    waiting.catch(() => {});
    assertEquals(await bench.admin.removeGroup("group", { force: true }), true);
    await assertFails("group-deleted", () => waiting);
    await assertFails("group-deleted", () => bench.claim(a));
    await assertFails("group-deleted", () => a.renew(held));
    assertEquals((await a.settle(ack(held))).toSorted(), all.slice(1));
    assertEquals(await bench.letters(), []);
    assertEquals((await bench.admin.info()).groups, []);
    assertEquals(await a.leave(), true);
  }),

  contract("12", "removeGroup() keeps former members out of a new group of that name", async (bench) => {
    const all = await bench.append(2);
    const former = await bench.join("a");
    const held = await bench.take(former);
    await bench.admin.removeGroup("group", { force: true });
    const member = await bench.join("a");
    const taken = await bench.take(member);
    assertEquals(positionsOf(taken), all);
    await assertFails("group-deleted", () => bench.claim(former));
    await assertFails("group-deleted", () => former.renew(held));
    assertEquals((await former.settle(ack(held))).toSorted(), all);
    assertEquals(await former.leave(), true);
    assertEquals(await member.renew(taken), []);
    assertEquals((await bench.group()).consumers.length, 1);
    assert((await bench.group()).pending === 2);
  }),
];
