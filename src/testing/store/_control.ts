import { assert, assertEquals, assertGreater, assertRejects } from "@std/assert";
import type { GroupMember, SharedState } from "../../store/mod.ts";
import { type Bench, contract, positionsOf, release, sleep, type StoreContract } from "../_store_bench.ts";

const controlOf = ({ admin }: Bench, group = "group"): SharedState => admin.control(group);

/** Replaces the control, whatever it was. */
async function set(state: SharedState, text: string | undefined): Promise<number> {
  assert(await state.write(text, (await state.read()).version));
  return (await state.read()).version;
}

/** The text that the next claim tells, which returns no records. */
async function told(bench: Bench, member: GroupMember): Promise<string | undefined> {
  const { control, records } = await bench.claim(member);
  assert(control, "The claim told no control");
  assertEquals(records, []);
  return control.text;
}

export const controlling: readonly StoreContract[] = [
  contract("51", "control() has no text and version 0 before the first write", async (bench) => {
    await bench.join();
    const { text, version } = await controlOf(bench).read();
    assertEquals({ text, version, shown: (await bench.group()).control }, {
      text: undefined,
      version: 0,
      shown: undefined,
    });
  }),

  contract("51", "control() keeps the text that was written, and info() shows it", async (bench) => {
    await bench.join();
    const state = controlOf(bench);
    let before = 0;
    for (const text of ["", "ünï😀\n'\"\\", JSON.stringify({ paused: {} }), "x".repeat(4_096)]) {
      assert(await state.write(text, before));
      const read = await controlOf(bench).read();
      assertEquals(read.text, text);
      assertEquals((await bench.group()).control, text);
      assertGreater(read.version, before);
      before = read.version;
    }
  }),

  contract("51", "control() is written only if nobody else has written it since it was read", async (bench) => {
    await bench.join();
    const state = controlOf(bench);
    assertEquals(await state.write("early", 1), false);
    assert(await state.write("one", 0));
    const one = await state.read();
    assert(await state.write(undefined, one.version));
    const removed = await state.read();
    assertEquals(removed.text, undefined);
    assertGreater(removed.version, one.version);
    for (const stale of [0, one.version, removed.version + 1e6]) {
      assertEquals(await state.write("late", stale), false);
    }
    const results = await Promise.all(["a", "b", "c"].map((text) => controlOf(bench).write(text, removed.version)));
    assertEquals(results.filter(Boolean).length, 1);
  }),

  contract("51", "control() refuses a text of more than 4 KiB, and changes nothing", async (bench) => {
    await bench.join();
    const state = controlOf(bench);
    const version = await set(state, "kept");
    for (const text of ["x".repeat(4_097), "é".repeat(2_049), "😀".repeat(1_025)]) {
      await assertRejects(() => state.write(text, version), RangeError, 'Cannot write the control of group "group"');
    }
    assertEquals(await state.read().then(({ text }) => text), "kept");
    assert(await state.write("😀".repeat(1_024), version));
  }),

  contract("51, 34", "control() of a missing group rejects, and names the groups there are", async (bench) => {
    const state = controlOf(bench, "other");
    await assertRejects(() => state.read(), RangeError, 'Cannot find group "other"');
    await bench.join();
    await assertRejects(() => state.read(), RangeError, 'the existing groups are "group"');
    await assertRejects(() => state.write("text", 0), RangeError, 'the existing groups are "group"');
    assertEquals((await bench.group()).control, undefined);
  }),

  contract("51", "claim() tells a new member the control, before it takes entries that wait", async (bench) => {
    await bench.append(3);
    await bench.join("a");
    const version = await set(controlOf(bench), "paused");
    const member = await bench.join("b");
    const { control, records } = await bench.claim(member);
    assertEquals({ text: control?.text, version: control?.version }, { text: "paused", version });
    // A store may have taken entries already: they are not lost.
    assertEquals(await member.settle(release(records)), []);
    assertEquals((await bench.take(member)).length, 3);
  }),

  contract("51", "claim() that waits ends when the control is written", async (bench) => {
    const members = [await bench.join("a"), await bench.join("b", { exclusive: false }), await bench.join("c")];
    const claims = members.map((member) => bench.claim(member));
    await sleep(20);
    const since = performance.now();
    await set(controlOf(bench), "paused");
    for (const claim of claims) assertEquals((await claim).control?.text, "paused");
    assert(performance.now() - since < 2_000, "the claims learned of it late");
  }),

  contract("51, 39", "claim() of an exclusive member that waits ends when the control is written", async (bench) => {
    const member = await bench.join("a", { exclusive: true });
    const claim = bench.claim(member);
    await sleep(20);
    await set(controlOf(bench), "paused");
    assertEquals((await claim).control?.text, "paused");
    await set(controlOf(bench), undefined);
    assertEquals(await told(bench, member), undefined);
    await bench.append(1);
    assertEquals((await bench.claim(member)).control, undefined);
  }),

  contract("51", "claim() tells each change once, also that the text was removed", async (bench) => {
    const member = await bench.join();
    await set(controlOf(bench), "one");
    assertEquals(await told(bench, member), "one");
    await set(controlOf(bench), "two");
    await set(controlOf(bench), undefined);
    assertEquals(await told(bench, member), undefined);
    await bench.append(1);
    const { control, records } = await bench.claim(member);
    assertEquals([control, records.length], [undefined, 1]);
  }),

  contract("51", "claim() tells the control while there is a backlog, and loses no entry", async (bench) => {
    const positions = await bench.append(40);
    const member = await bench.join();
    const taken = positionsOf(await bench.take(member, 5));
    await set(controlOf(bench), "paused");
    let claim = await bench.claim(member, 5);
    taken.push(...positionsOf(claim.records));
    // One read may have been under way.
    if (claim.control === undefined) {
      claim = await bench.claim(member, 5);
      taken.push(...positionsOf(claim.records));
    }
    assertEquals(claim.control?.text, "paused");
    while (taken.length < positions.length) taken.push(...positionsOf(await bench.take(member, 5)));
    assertEquals(taken, [...positions]);
  }),

  contract("51", "claim() tells the control while deliveries keep coming back", async (bench) => {
    await bench.append(20);
    const member = await bench.join();
    assertEquals(await member.settle(release(await bench.take(member))), []);
    await bench.take(member, 1);
    await set(controlOf(bench), "paused");
    for (let claims = 1;; claims++) {
      const { control } = await bench.claim(member, 1);
      if (control !== undefined) break;
      assert(claims < 3, "the claims do not tell the control");
    }
  }),

  contract("51", "control() of a member reads it, and no claim tells that again", async (bench) => {
    const member = await bench.join();
    const { text, version } = await member.control();
    assertEquals({ text, version }, { text: undefined, version: 0 });
    const written = await set(controlOf(bench), "paused");
    const read = await member.control();
    assertEquals({ text: read.text, version: read.version }, { text: "paused", version: written });
    await bench.append(1);
    const { control, records } = await bench.claim(member);
    assertEquals([control, records.length], [undefined, 1]);
  }),

  contract("51", "claim() of no entries returns at once, and takes nothing new", async (bench) => {
    const member = await bench.join();
    assertEquals((await bench.claim(member, 0)).records, []);
    const positions = await bench.append(3);
    assertEquals((await bench.claim(member, 0)).records, []);
    await set(controlOf(bench), "paused");
    assertEquals((await bench.claim(member, 0)).control?.text, "paused");
    assertEquals(positionsOf(await bench.take(member)), positions);
  }),

  contract("51, 13", "claim() of no entries returns what an ended claim has taken", async (bench) => {
    const member = await bench.join();
    const taken: string[] = [];
    const appended: string[] = [];
    for (let round = 0; round < 20; round++) {
      const ended = new AbortController();
      const claim = member.claim({ limit: 10, signal: ended.signal });
      const appending = bench.append(2);
      if (round % 2 === 0) await sleep(0);
      ended.abort();
      appended.push(...await appending);
      taken.push(...positionsOf((await claim).records), ...positionsOf((await bench.claim(member, 0)).records));
      // Whatever the member has not returned is unread.
      const { pending } = await bench.group();
      assertEquals(pending, taken.length);
    }
    while (taken.length < appended.length) taken.push(...positionsOf(await bench.take(member)));
    assertEquals(taken, appended);
  }),

  contract(
    "51, 26, 28",
    "control() stays when the group is rewound or altered, and when its consumers leave",
    async (bench) => {
      const member = await bench.join();
      await set(controlOf(bench), "paused");
      await bench.admin.rewind("group", "beginning");
      await member.leave();
      bench.abandon(member);
      await bench.admin.alterGroup("group", { types: ["A"] });
      assertEquals((await controlOf(bench).read()).text, "paused");
      const next = await bench.join("b", { types: ["A"] });
      assertEquals((await bench.claim(next)).control?.text, "paused");
    },
  ),

  contract("51", "control() ends with the group: a new group of its name has none", async (bench) => {
    const member = await bench.join();
    await set(controlOf(bench), "paused");
    await bench.admin.removeGroup("group", { force: true });
    assertEquals((await member.control()).text, undefined);
    bench.abandon(member);
    const next = await bench.join("b");
    const { text } = await controlOf(bench).read();
    assertEquals([text, (await next.control()).text], [undefined, undefined]);
  }),

  contract("51", "control() outlives the store, and reaches consumers of another store", async (bench) => {
    const member = await bench.join();
    const other = await bench.reopen();
    const claim = bench.claim(member);
    await sleep(20);
    await set(other.admin(bench.stream).control("group"), "paused");
    assertEquals((await claim).control?.text, "paused");
    assertEquals((await bench.group()).control, "paused");
  }, "second-store"),

  contract("51, 11", "control() keeps groups and streams apart", async (bench) => {
    const places = ["Stream", "other"].flatMap((stream) =>
      ["group", "it's", "__proto__"].map((group) => ({ stream, group }))
    );
    for (const { stream, group } of places) {
      await bench.join("a", { stream, group });
      await set(bench.store.admin(stream).control(group), `${stream} ${group}`);
    }
    for (const { stream, group } of places) {
      assertEquals((await bench.store.admin(stream).control(group).read()).text, `${stream} ${group}`);
    }
  }),

  contract(
    "51, 34",
    "control() tells the store's time, and its version rises when the clock goes back",
    async (bench) => {
      await bench.join();
      const state = controlOf(bench);
      let before = 0;
      for (const ms of [0, 0, -5_000, 10_000]) {
        bench.clock.advance(ms);
        assert(await state.write("text", before));
        const { version, now } = await state.read();
        assertEquals(now, bench.clock.now());
        assertGreater(version, before);
        before = version;
      }
    },
    "clock",
  ),
];
