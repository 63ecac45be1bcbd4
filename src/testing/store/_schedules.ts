import { assert, assertEquals, assertGreaterOrEqual, assertLess, assertRejects, assertStrictEquals } from "@std/assert";
import {
  type Added,
  type AddOptions,
  type EventStore,
  type ScheduleRange,
  StoreError,
  type StoreErrorKind,
  type StreamSchedule,
  type WaitingRecord,
  type When,
} from "../../store/mod.ts";
import { type Bench, contract, LONG, positionsOf, type StoreContract } from "../_store_bench.ts";

const LATER: When = { delay: LONG };
const NOW: When = { delay: 0 };

/** Adds one entry for each id, in one batch. */
function add(schedule: StreamSchedule, ids: readonly string[], when: When, options?: AddOptions): Promise<Added> {
  return schedule.add(ids.map((id) => ({ id, fields: ["id", id, "payload", "{}"], when })), options);
}

const producer = (sequence: number, decided = sequence - 1, id = "producer") => ({
  producer: { id, sequence, decided, known: false },
});

async function list(schedule: StreamSchedule, range?: ScheduleRange): Promise<WaitingRecord[]> {
  const records: WaitingRecord[] = [];
  for await (const page of schedule.list(range)) {
    assert(page.length > 0, "A page is never empty");
    records.push(...page);
  }
  return records;
}

const idsOf = (records: readonly { readonly fields: readonly string[] }[]) => records.map(({ fields }) => fields[1]!);

const waiting = async (schedule: StreamSchedule): Promise<string[]> => (await list(schedule)).map(({ id }) => id);

async function assertRefused(call: Promise<unknown>, kind: StoreErrorKind): Promise<void> {
  assertEquals((await assertRejects(() => call, StoreError)).kind, kind);
}

/** Appends everything that is due. */
async function promoteAll(schedule: StreamSchedule, limit = 100): Promise<number> {
  for (let count = 0;;) {
    const { appended } = await schedule.promote(limit);
    if (appended === 0) return count;
    count += appended;
  }
}

function scheduleOf({ store, stream }: Bench, layout?: number, other: EventStore = store): StreamSchedule {
  return other.schedule(stream, layout);
}

export const scheduling: readonly StoreContract[] = [
  contract("49", "add() keeps entries until they are due, and promote() appends them once", async (bench) => {
    const schedule = scheduleOf(bench);
    const { dues, now } = await add(schedule, ["a", "b"], { delay: bench.short });
    assertEquals(dues, [now + bench.short, now + bench.short]);
    await add(schedule, ["c"], LATER);
    assertEquals(await bench.read(), []);
    await bench.pass(bench.short);
    let promoted = await schedule.promote(10);
    while (promoted.appended === 0) promoted = await schedule.promote(10);
    assertEquals([promoted.appended, promoted.waiting], [2, 1]);
    const records = await bench.read();
    assertEquals(records.map(({ fields }) => fields), [
      ["id", "a", "payload", "{}", "scheduledfor", new Date(dues[0]!).toISOString()],
      ["id", "b", "payload", "{}", "scheduledfor", new Date(dues[0]!).toISOString()],
    ]);
    assertEquals(await promoteAll(schedule), 0);
    assertEquals(await waiting(schedule), ["c"]);
  }),

  contract("49", "promote() appends nothing before its time", async (bench) => {
    const schedule = scheduleOf(bench);
    const { dues: [due] } = await add(schedule, ["a"], { delay: 1_000 });
    bench.clock.advance(999);
    assertEquals(await schedule.promote(10), { appended: 0, bytes: 0, waiting: 1, due, now: due! - 1 });
    bench.clock.advance(1);
    assertEquals((await schedule.promote(10)).appended, 1);
  }, "clock"),

  contract("49, 34", "promote() appends each entry once although the clock jumps", async (bench) => {
    const schedule = scheduleOf(bench);
    await add(schedule, ["a"], { delay: 1_000 });
    bench.clock.advance(-60_000);
    const { dues: [due] } = await add(schedule, ["b"], { delay: 1_000 });
    assertEquals((await schedule.promote(10)).due, due);
    bench.clock.advance(3_600_000);
    assertEquals(await promoteAll(schedule), 2);
    bench.clock.advance(-3_600_000);
    assertEquals(await promoteAll(schedule), 0);
    assertEquals(idsOf(await bench.read()), ["b", "a"]);
  }, "clock"),

  contract(
    "49",
    "promote() appends by due time, then in the order of adding, at most `limit` entries",
    async (bench) => {
      const schedule = scheduleOf(bench);
      const at = (await schedule.state()).now + 500;
      await add(schedule, ["c", "d"], { at: at + 2 });
      await add(schedule, ["a"], { at: at + 1 });
      await add(schedule, ["e"], { at: at + 2 });
      await add(schedule, ["b"], { at: at + 1 });
      while ((await schedule.state()).now < at + 2) await bench.pass(100);
      assertEquals((await schedule.promote(3)).appended, 3);
      assertEquals(idsOf(await bench.read()), ["a", "b", "c"]);
      assertEquals((await schedule.promote(3)).appended, 2);
      assertEquals(idsOf(await bench.read()), ["a", "b", "c", "d", "e"]);
    },
  ),

  contract("49", "promote() takes a bounded number of bytes, and at least one entry", async (bench) => {
    const schedule = scheduleOf(bench);
    const payload = "x".repeat(600_000);
    const ids = ["a", "b", "c", "d", "e"];
    await schedule.add(ids.map((id) => ({ id, fields: ["id", id, "payload", payload], when: NOW })));
    const { appended, bytes, waiting } = await schedule.promote(100);
    assertEquals([appended, waiting], [2, 3]);
    assertGreaterOrEqual(bytes, 1_200_000);
    assertEquals(await promoteAll(schedule), 3);
    assertEquals(idsOf(await bench.read()), ids);
  }),

  contract("49", "add() takes a time in the past as now", async (bench) => {
    const schedule = scheduleOf(bench);
    for (const when of [{ at: 0 }, { at: -1e15 }, { delay: -5_000 }, NOW]) {
      const { dues, now } = await add(schedule, [JSON.stringify(when)], when);
      assertEquals(dues, [now]);
    }
    assertEquals(await promoteAll(schedule), 4);
  }),

  contract("49, 30", "add() resolves with the same due times when a batch is sent again", async (bench) => {
    const schedule = scheduleOf(bench);
    const position = await bench.append(1, producer(1));
    const first = await add(schedule, ["a", "b"], LATER, producer(2));
    await bench.pass(bench.short);
    assertEquals((await add(schedule, ["a", "b"], LATER, producer(2))).dues, first.dues);
    assertEquals(await bench.append(1, producer(1, 0)), position);
    assertEquals(await waiting(schedule), ["a", "b"]);
    assert(await schedule.cancel("a"));
    assertEquals((await add(schedule, ["a", "b"], LATER, producer(2))).dues, first.dues);
    assertEquals(await waiting(schedule), ["b"]);
    await bench.append(1, producer(3));
  }),

  contract("49, 30", "add() and append() share the numbers of a producer's batches", async (bench) => {
    const schedule = scheduleOf(bench);
    await add(schedule, ["a"], LATER, producer(1));
    await assertRefused(add(schedule, ["b"], LATER, producer(3, 0)), "out-of-sequence");
    await bench.append(1, producer(2));
    await add(schedule, ["b"], LATER, producer(3));
    const forgotten = { producer: { id: "unknown", sequence: 2, decided: 1, known: true } };
    await assertRefused(add(schedule, ["c"], LATER, forgotten), "forgotten");
    assertEquals(await waiting(schedule), ["a", "b"]);
  }),

  contract("49, 30", "add() without records asks about the batch and gives it up", async (bench) => {
    const schedule = scheduleOf(bench);
    const { dues } = await add(schedule, ["a"], LATER, producer(1));
    assertEquals((await schedule.add([], producer(1))).dues, dues);
    assertEquals((await schedule.add([], producer(2))).dues, []);
    await assertRefused(add(schedule, ["b"], LATER, producer(2)), "out-of-sequence");
    await add(schedule, ["c"], LATER, producer(3));
    assertEquals(await waiting(schedule), ["a", "c"]);
  }),

  contract("49", "add() replaces a waiting entry of the same id", async (bench) => {
    const schedule = scheduleOf(bench);
    await add(schedule, ["a", "b"], LATER);
    await schedule.add([{ id: "a", fields: ["id", "new"], when: NOW }]);
    assertEquals((await schedule.state()).waiting, 2);
    assertEquals(await promoteAll(schedule), 1);
    assertEquals(idsOf(await bench.read()), ["new"]);
    await schedule.add(["x", "y"].map((value) => ({ id: "c", fields: ["id", value], when: LATER })));
    assertEquals(await waiting(schedule), ["b", "c"]);
  }),

  contract("49, 1", "promote() appends unusual fields unchanged", async (bench) => {
    const schedule = scheduleOf(bench);
    const fields = ["id", "ünï😀", "", "", "payload", "a\n\"\\'", "name", "x".repeat(100_000), "a", "1"];
    const ids = ["ünï😀\nb", "'; --", " ", "0", "__proto__"];
    await schedule.add(ids.map((id) => ({ id, fields, when: NOW })));
    assertEquals((await list(schedule)).map((record) => [record.id, record.fields]), ids.map((id) => [id, fields]));
    assertEquals(await promoteAll(schedule), ids.length);
    for (const record of await bench.read()) assertEquals(record.fields.slice(0, -2), fields);
  }),

  contract("49, 41, 42", "promote() gives the entries of subjects their revisions", async (bench) => {
    const schedule = scheduleOf(bench);
    const revised = (id: string, subject: string, base = 0, own = true) => ({
      id,
      fields: own ? ["id", id, "subject", subject] : ["id", id],
      subject,
      base,
      when: NOW,
    });
    await bench.store.appendRevised(bench.stream, [{ fields: ["id", "0"], subject: "a" }]);
    await schedule.add([revised("1", "a"), revised("2", "b", 5), revised("3", "a", 0, false), revised("4", "c d")]);
    await schedule.add([{ id: "5", fields: ["id", "5"], when: NOW }]);
    assertEquals(await promoteAll(schedule, 2), 5);
    await bench.store.appendRevised(bench.stream, [{ fields: ["id", "6"], subject: "a" }]);
    const of = async (subject: string) =>
      (await Array.fromAsync(bench.store.readSubject(bench.stream, subject))).flat().map(({ fields }) => [
        fields[1],
        fields[fields.indexOf("revision") + 1],
      ]);
    assertEquals(await of("a"), [["0", "1"], ["1", "2"], ["3", "3"], ["6", "4"]]);
    assertEquals([await of("b"), await of("c d")], [[["2", "6"]], [["4", "1"]]]);
    assertEquals(await bench.store.revision(bench.stream, "a"), 4);
    assertEquals((await bench.read()).filter(({ fields }) => !fields.includes("revision")).length, 1);
  }),

  contract(
    "49, 42",
    "promote() numbers many entries of one subject, which are read from any revision",
    async (bench) => {
      const schedule = scheduleOf(bench);
      const ids = Array.from({ length: 300 }, (_, nth) => `${nth}`);
      await schedule.add(ids.map((id) => ({ id, fields: ["id", id], subject: "a", when: NOW })));
      assertEquals(await promoteAll(schedule), 300);
      for (const fromRevision of [1, 128, 129, 257, 300]) {
        const pages = await Array.fromAsync(bench.store.readSubject(bench.stream, "a", { fromRevision }));
        assertEquals(idsOf(pages.flat()), ids.slice(fromRevision - 1));
      }
    },
  ),

  contract("49", "promote() wakes readers and claims that wait", async (bench) => {
    const schedule = scheduleOf(bench);
    const member = await bench.join();
    await add(schedule, ["a"], NOW);
    const { records } = await bench.wake(member, () => schedule.promote(10));
    assertEquals(idsOf(records), ["a"]);
    const follow = bench.read({ after: records[0]!.position, follow: true, limit: 1 });
    await add(schedule, ["b"], NOW);
    await schedule.promote(10);
    assertEquals(idsOf(await follow), ["b"]);
  }),

  contract("49", "promote() appends each entry once when several stores race", async (bench) => {
    const ids = Array.from({ length: 200 }, (_, nth) => `${nth}`);
    await add(scheduleOf(bench), ids, NOW);
    const stores = [bench.store, await bench.reopen(), await bench.reopen()];
    const counts = await Promise.all(stores.map((store) => promoteAll(scheduleOf(bench, undefined, store), 7)));
    assertEquals(counts.reduce((sum, count) => sum + count), 200);
    assertEquals(idsOf(await bench.read()), ids);
  }, "second-store"),

  contract("49", "state() tells how many entries wait and when the first is due", async (bench) => {
    const schedule = scheduleOf(bench);
    const empty = await schedule.state();
    assertEquals([empty.waiting, empty.due], [0, undefined]);
    const { dues: [due] } = await add(schedule, ["a"], LATER);
    await add(schedule, ["b"], { at: due! + 5 });
    const state = await schedule.state();
    assertEquals([state.waiting, state.due], [2, due]);
    assertLess(state.now, due!);
    assert(await schedule.cancel("a"));
    assertEquals((await schedule.state()).due, due! + 5);
    assertEquals(await bench.admin.info().then(({ length, groups }) => [length, groups]), [0, []]);
  }),

  contract("49", "list() gives entries by due time, in pages, between bounds", async (bench) => {
    const schedule = scheduleOf(bench);
    const { now } = await schedule.state();
    const start = now + LONG;
    const all = Array.from({ length: 1_201 }, (_, nth) => ({ id: `${nth}`, due: start + Math.floor(nth / 400) }));
    for (const part of [all.slice(0, 400), all.slice(800), all.slice(400, 800)]) {
      await schedule.add(part.map(({ id, due }) => ({ id, fields: ["id", id], when: { at: due } })));
    }
    const expected = (from: number, to: number) => all.filter(({ due }) => due >= start + from && due <= start + to);
    const shown = (records: WaitingRecord[]) => records.map(({ id, due }) => ({ id, due }));
    assertEquals(shown(await list(schedule)), all);
    for (const [from, to] of [[0, 0], [1, 1], [1, 3], [0, 2], [4, 9], [2, 1]] as const) {
      assertEquals(shown(await list(schedule, { from: start + from, to: start + to })), expected(from, to));
    }
    assertEquals(shown(await list(schedule, { from: start + 1, limit: 3 })), expected(1, 9).slice(0, 3));
    assertEquals(await list(schedule, { limit: 0 }), []);
    const reason = new Error("enough");
    const listing = list(schedule, { signal: AbortSignal.abort(reason) });
    assertStrictEquals(await assertRejects(() => listing), reason);
  }),

  contract("49", "list() goes on although its last entry was removed meanwhile", async (bench) => {
    const schedule = scheduleOf(bench);
    const ids = Array.from({ length: 600 }, (_, nth) => `${nth}`);
    const { now } = await schedule.state();
    for (let at = 0; at < 600; at += 300) await add(schedule, ids.slice(at, at + 300), { at: now + LONG });
    const seen: string[] = [];
    for await (const page of schedule.list()) {
      seen.push(...page.map(({ id }) => id));
      assert(await schedule.cancel(seen.at(-1)!));
    }
    assertEquals(seen, ids);
  }),

  contract("49", "cancel() says whether the entry was still waiting", async (bench) => {
    const schedule = scheduleOf(bench);
    await add(schedule, ["a", "b"], NOW);
    assertEquals([await schedule.cancel("a"), await schedule.cancel("a"), await schedule.cancel("c")], [
      true,
      false,
      false,
    ]);
    assertEquals(await promoteAll(schedule), 1);
    assertEquals(await schedule.cancel("b"), false);
    assertEquals(idsOf(await bench.read()), ["b"]);
  }),

  contract("49", "move() changes when an entry is due, and says whether it was still waiting", async (bench) => {
    const schedule = scheduleOf(bench);
    await add(schedule, ["a", "b"], LATER);
    const moved = await schedule.move("b", NOW);
    assertEquals(moved.dues, [moved.now]);
    assertEquals((await schedule.move("c", NOW)).dues, []);
    assertEquals(await promoteAll(schedule), 1);
    assertEquals((await schedule.move("b", LATER)).dues, []);
    const { dues: [due] } = await schedule.move("a", { delay: 2 * LONG });
    assertEquals((await list(schedule)).map(({ id, due }) => [id, due]), [["a", due]]);
    assertEquals(await promoteAll(schedule), 0);
    assertEquals((await schedule.move("a", { at: 0 })).dues.length, 1);
    assertEquals(await promoteAll(schedule), 1);
    assertEquals(idsOf(await bench.read()), ["b", "a"]);
  }),

  contract("49, 40", "a fenced schedule is refused, and another layout has its own", async (bench) => {
    const [old, next] = [scheduleOf(bench, 1), scheduleOf(bench, 2)];
    await add(old, ["a", "b"], NOW, producer(1));
    await add(next, ["c"], LATER);
    await bench.admin.fence(2);
    await assertRefused(add(old, ["d"], NOW, producer(2)), "layout-changed");
    await assertRefused(add(old, ["d"], NOW, producer(2)), "layout-changed");
    await assertRefused(old.promote(10), "layout-changed");
    await assertRefused(old.cancel("a"), "layout-changed");
    await assertRefused(old.move("a", NOW), "layout-changed");
    assertEquals((await add(old, ["a", "b"], NOW, producer(1))).dues.length, 2);
    assertEquals([await waiting(old), await waiting(next)], [["a", "b"], ["c"]]);
    await bench.append(1, producer(3));
    assertEquals([(await old.state()).waiting, await promoteAll(next)], [2, 0]);
    assertEquals(await promoteAll(scheduleOf(bench)), 0);
  }),

  contract("49", "a schedule without a layout is that of layout 0, which no fence refuses", async (bench) => {
    await add(scheduleOf(bench), ["a"], NOW);
    await bench.admin.fence(3);
    assertEquals(await waiting(scheduleOf(bench, 0)), ["a"]);
    await assertRefused(scheduleOf(bench, 0).promote(10), "layout-changed");
    assertEquals(await promoteAll(scheduleOf(bench)), 1);
    assertEquals(positionsOf(await bench.read()).length, 1);
  }),

  contract("49", "take() hands out the same batch until it is taken", async (bench) => {
    const schedule = scheduleOf(bench, 1);
    const ids = Array.from({ length: 7 }, (_, nth) => `${nth}`);
    await add(schedule, ids, NOW);
    await bench.admin.fence(2);
    const taken: string[] = [];
    for (let batch = 1;; batch++) {
      const leaving = await schedule.take(3);
      assertEquals(leaving.batch, batch);
      assertEquals(await scheduleOf(bench, 1).take(5), leaving);
      if (leaving.records.length === 0) break;
      taken.push(...leaving.records.map(({ id }) => id));
      await schedule.taken(batch - 1);
      await schedule.taken(batch + 1);
      assertEquals(await schedule.take(1), leaving);
      await schedule.taken(batch);
      await schedule.taken(batch);
    }
    assertEquals(taken, ids);
    assertEquals((await schedule.state()).waiting, 0);
  }),

  contract("49", "schedules of several streams and stores over the same data", async (bench) => {
    const other = await bench.reopen();
    await add(scheduleOf(bench), ["a"], LATER);
    await add(bench.store.schedule("Other"), ["b"], LATER);
    assertEquals(await waiting(scheduleOf(bench, undefined, other)), ["a"]);
    assertEquals(await waiting(other.schedule("Other")), ["b"]);
    assert(await other.schedule("Other").cancel("b"));
    assertEquals((await bench.store.schedule("Other").state()).waiting, 0);
  }, "second-store"),
];
