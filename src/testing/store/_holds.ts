import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type ClaimedRecord,
  type GroupMember,
  type HeldState,
  MAX_WAITING,
  type Outcome,
  type Position,
  StoreError,
} from "../../store/mod.ts";
import {
  ack,
  type Bench,
  contract,
  dead,
  defer,
  LONG,
  positionsOf,
  release,
  retry,
  type StoreContract,
  wait,
} from "../_store_bench.ts";

const HOLDS = { whenDead: "hold-key" } as const;

/** Appends entries, claims them, and makes the first one a dead letter that holds the key. */
async function holdFirst(
  bench: Bench,
  member: GroupMember,
  count: number,
  key = "k",
): Promise<{ all: readonly Position[]; later: ClaimedRecord[] }> {
  const all = await bench.append(count);
  const [first, ...later] = await bench.take(member, count);
  assertEquals(await member.settle(dead([first!], { key })), []);
  return { all, later };
}

/** The positions of those deliveries that have to wait for a key. */
async function heldOf(member: GroupMember, positions: readonly Position[], key = "k"): Promise<readonly Position[]> {
  return (await member.held(positions.map((position) => ({ position, key })))).positions;
}

/** How many keys are held, and how many deliveries wait. */
async function countsOf(bench: Bench, group?: string): Promise<Omit<HeldState, "from">> {
  const { held: { keys, waiting } } = await bench.group(group);
  return { keys, waiting };
}

function lettersOf(bench: Bench) {
  return bench.admin.deadLetters("group");
}

export const holding: readonly StoreContract[] = [
  contract("43", "settle() has a dead letter hold its key for later deliveries, and no other key", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const all = await bench.append(4);
    const claim = await bench.claim(member);
    assertEquals([claim.holding, await countsOf(bench)], [undefined, { keys: 0, waiting: 0 }]);
    assertEquals(await heldOf(member, all), []);
    assertEquals(await member.settle(dead([claim.records[1]!], { key: "k" })), []);
    assertEquals(await heldOf(member, all), all.slice(2));
    assertEquals(await heldOf(member, all, "other"), []);
    assertEquals((await member.held([])).room, MAX_WAITING);
    const [letter] = await bench.letters();
    assertEquals([letter!.position, letter!.key], [all[1], "k"]);
    const { held, whenDead, pending } = await bench.group();
    assertEquals({ held, whenDead, pending }, {
      held: { keys: 1, waiting: 0, from: all[1] },
      whenDead: "hold-key",
      pending: 3,
    });
    const [added] = await bench.append(1);
    const next = await bench.claim(member);
    assertEquals([positionsOf(next.records), next.holding], [[added], (await member.held([])).freed]);
  }),

  contract(
    "43",
    "settle() keeps a waiting delivery pending, out of all claims and safe from trimming",
    async (bench) => {
      const member = await bench.join("a", HOLDS);
      const { all, later } = await holdFirst(bench, member, 3);
      assertEquals(await member.settle(wait(later, "k")), []);
      assertEquals(await member.settle(wait(later, "k")), all.slice(1), "settled twice");
      assertEquals(await member.renew(later), all.slice(1));
      await bench.nothing(member);
      await member.leave();
      const other = await bench.join("b", HOLDS);
      await bench.nothing(other);
      const { pending, retrying, floor, held } = await bench.group();
      assertEquals({ pending, retrying, floor }, { pending: 2, retrying: 0, floor: all[1] });
      assertEquals(held, { keys: 1, waiting: 2, from: all[0] });
      assertEquals((await other.held([])).room, MAX_WAITING - 2);
      assertEquals(await bench.admin.trim({ maxLength: 0 }), { removed: 1, pinnedBy: "group" });
    },
  ),

  contract("43", "redrive() returns the letter and then what waits behind it, by position", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const { all, later } = await holdFirst(bench, member, 30);
    await member.settle(wait(later.toReversed(), "k"));
    // Deliveries that are due already come later than those of the key.
    const [added] = await bench.append(1);
    await member.settle(release(await bench.take(member)));
    assertEquals(await lettersOf(bench).redrive(), 1);
    assertEquals(await countsOf(bench), { keys: 0, waiting: 0 });
    assertEquals(await heldOf(member, all), []);
    const order: Position[] = [];
    while (order.length <= all.length) order.push(...positionsOf(await bench.take(member, 4)));
    assertEquals(order, [...all, added]);
  }),

  contract("43", "redrive() of some letters returns only what waits behind no other letter", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const all = await bench.append(6);
    const [one, two, three, four, five, six] = await bench.take(member, 6);
    await member.settle([...dead([four!, one!], { key: "k" }), ...wait([two!, three!, five!, six!], "k")]);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 4 });
    const idOf = async (position: Position) =>
      (await bench.letters()).find((letter) => letter.position === position)!.id;
    // The fourth still waits behind the first: a consumer that gets it has it wait.
    await lettersOf(bench).redrive([await idOf(all[3]!)]);
    const fourth = await bench.take(member);
    assertEquals(positionsOf(fourth), [all[3]]);
    assertEquals(await heldOf(member, all), all.slice(1));
    await member.settle(dead(fourth, { key: "k" }));
    await lettersOf(bench).redrive([await idOf(all[0]!)]);
    const first = await bench.take(member);
    assertEquals(positionsOf(first), all.slice(0, 3));
    assertEquals(await heldOf(member, all), all.slice(4));
    assertEquals(await countsOf(bench), { keys: 1, waiting: 2 });
    await member.settle(ack(first));
    assertEquals(await lettersOf(bench).redrive(), 1);
    assertEquals(await bench.drain(member), all.slice(3));
  }),

  contract("43", "discard() of the last letter of a key returns what waits behind it", async (bench) => {
    const member = await bench.join("a", HOLDS);
    for (const discard of [{}, { maxLength: 0 }, { maxAge: bench.short }, "ids"] as const) {
      const { all, later } = await holdFirst(bench, member, 3);
      await member.settle(wait(later, "k"));
      await bench.pass(2 * bench.short);
      const which = discard === "ids" ? { ids: (await bench.letters()).map(({ id }) => id) } : discard;
      assertEquals(await lettersOf(bench).discard({ ids: [] }), 0);
      const { records } = await bench.wake(member, async () => {
        assertEquals(await lettersOf(bench).discard(which), 1);
      });
      assertEquals(positionsOf(records), all.slice(1));
      assertEquals(await countsOf(bench), { keys: 0, waiting: 0 });
      assertEquals(await member.settle(ack(records)), []);
    }
  }),

  contract("43", "settle() returns a delivery at once that has nothing to wait for", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const { all, later: [second, third] } = await holdFirst(bench, member, 3);
    await member.settle(wait([third!], "other"));
    assertEquals(positionsOf(await bench.take(member)), [all[2]]);
    await lettersOf(bench).discard();
    const other = await bench.join("b", HOLDS);
    const { records } = await bench.wake(other, () => member.settle(wait([second!], "k")));
    assertEquals(positionsOf(records), [all[1]]);
    // The event died again, so that its letter is not below it.
    await other.settle(dead(records, { key: "k" }));
    await lettersOf(bench).redrive();
    const again = await bench.take(other);
    const [added] = await bench.append(1);
    await other.settle(dead(await bench.take(other), { key: "k" }));
    await other.settle(wait(again, "k"));
    assertEquals(positionsOf(await bench.take(other)), [all[1]]);
    assertEquals((await bench.letters())[0]!.position, added);
  }),

  contract("43", "settle() has a delivery wait with its attempts, and without its due time", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const { all, later } = await holdFirst(bench, member, 2);
    await member.settle(retry(later, LONG, true));
    assertEquals(await member.settle(wait(later, "k")), []);
    assertEquals((await bench.group()).retrying, 0);
    await lettersOf(bench).redrive();
    const taken = await bench.take(member);
    assertEquals(taken.map(({ position, attempt, recovered }) => [position, attempt, recovered]), [
      [all[0], 1, 0],
      [all[1], 2, 0],
    ]);
  }),

  contract("17, 43", "claim() says that keys are held when a consumer died right after its letter", async (bench) => {
    await bench.append(3);
    const { records } = await (async () => {
      const member = await bench.join("dead", { ...HOLDS, lease: bench.short });
      const records = await bench.take(member, 3);
      await member.settle(dead([records[0]!], { key: "k" }));
      bench.abandon(member);
      await bench.pass(bench.short);
      return { records };
    })();
    const heir = await bench.join("heir", HOLDS);
    const claim = await bench.claim(heir);
    assertEquals([positionsOf(claim.records), claim.holding], [
      positionsOf(records.slice(1)),
      (await heir.held([])).freed,
    ]);
    assertEquals(await heldOf(heir, positionsOf(records)), positionsOf(records.slice(1)));
    assertEquals(await heir.settle(wait(claim.records, "k")), []);
    await lettersOf(bench).redrive();
    const again = await bench.take(heir);
    assertEquals(again.map(({ recovered }) => recovered), [0, 1, 1]);
  }),

  contract("43", "claim() of another consumer says that keys are held", async (bench) => {
    const [a, b] = [await bench.join("a", HOLDS), await bench.join("b", HOLDS)];
    await bench.append(2);
    const [one] = await bench.take(a, 1);
    await a.settle(dead([one!], { key: "k" }));
    const { records, holding } = await bench.claim(b);
    assertEquals([records.length, holding], [1, (await b.held([])).freed]);
    assertEquals(await heldOf(b, positionsOf(records)), positionsOf(records));
  }),

  contract(
    "39, 43",
    "claim() of an exclusive consumer leaves out what waits, and gives all else by position",
    async (bench) => {
      const all = await bench.append(6);
      const dying = await bench.join("a", { ...HOLDS, exclusive: true, lease: bench.short });
      const [one, two, three, four] = await bench.take(dying, 4);
      await dying.settle([...dead([two!], { key: "k" }), ...wait([four!], "k"), ...retry([one!], LONG, true)]);
      bench.abandon(dying);
      await bench.pass(bench.short);
      const heir = await bench.join("b", { ...HOLDS, exclusive: true });
      const claim = await bench.claim(heir, 2);
      assertEquals([positionsOf(claim.records), claim.holding], [
        [one!.position, three!.position],
        (await heir.held([])).freed,
      ]);
      assertEquals(claim.records[0]!.dueIn !== undefined, true);
      assertEquals(positionsOf(await bench.take(heir)), all.slice(4));
      await bench.nothing(heir);
      await heir.settle(release(claim.records));
      await lettersOf(bench).redrive();
      assertEquals(positionsOf(await bench.take(heir, 3)), all.slice(0, 3));
      assertEquals(positionsOf(await bench.take(heir, 3)), [all[3]]);
    },
  ),

  contract("39, 43", "claim() gives a redriven delivery once that an exclusive consumer deferred", async (bench) => {
    const member = await bench.join("a", { ...HOLDS, exclusive: true });
    const [position] = await bench.append(1);
    await member.settle(dead(await bench.take(member), {}));
    await lettersOf(bench).redrive();
    await member.settle(defer(await bench.take(member), 2));
    await bench.nothing(member);
    await member.leave();
    const heir = await bench.join("b", { ...HOLDS, version: 2 });
    assertEquals(positionsOf(await bench.take(heir)), [position]);
    await bench.nothing(heir);
  }),

  contract("29, 43", "rewind() lifts the holds of letters whose events come again", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const all = await bench.append(6);
    const records = await bench.take(member, 6);
    await member.settle([
      ...dead([records[0]!], { key: "early" }),
      ...dead([records[2]!], { key: "late" }),
      ...wait([records[1]!, records[4]!], "early"),
      ...wait([records[3]!], "late"),
      ...ack([records[5]!]),
    ]);
    assertEquals(await countsOf(bench), { keys: 2, waiting: 3 });
    assertEquals((await bench.admin.rewind("group", all[2]!)).dropped, 2);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 1 });
    assertEquals([await heldOf(member, all, "late"), await heldOf(member, all, "early")], [[], all.slice(1)]);
    assertEquals((await bench.letters()).map(({ position, key }) => [position, key]), [[all[0], "early"], [
      all[2],
      "late",
    ]]);
    assertEquals(positionsOf(await bench.take(member)), all.slice(2));
    assertEquals((await bench.admin.rewind("group", "now")).dropped, 0);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 1 });
    await bench.admin.rewind("group", "beginning");
    assertEquals(await countsOf(bench), { keys: 0, waiting: 0 });
    // Its event has not been read again: the letter is only removed, and holds nothing.
    assertEquals(await lettersOf(bench).redrive(), 2);
    assertEquals(await bench.drain(member), all);
  }),

  contract("27, 43", "claim() reports waiting deliveries as missing once their key is free", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const { all, later } = await holdFirst(bench, member, 3);
    await member.settle(wait(later, "k"));
    await bench.admin.trim({ maxLength: 1, force: true });
    await bench.nothing(member);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 2 });
    await lettersOf(bench).redrive();
    const taken: Position[] = [];
    const missing: Position[] = [];
    while (taken.length + missing.length < 3) {
      const claim = await bench.claim(member);
      taken.push(...positionsOf(claim.records));
      missing.push(...claim.missing);
    }
    assertEquals({ taken, missing }, { taken: [all[0], all[2]], missing: [all[1]] });
  }),

  contract("25, 43", "settle() has a redriven event wait whose entry was trimmed", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const all = await bench.append(3);
    const records = await bench.take(member, 3);
    await member.settle(dead(records, { key: "k" }));
    await bench.admin.trim({ maxLength: 0 });
    const ids = (await bench.letters()).map(({ id }) => id);
    assertEquals(await lettersOf(bench).redrive(ids.slice(1)), 2);
    const copies = await bench.take(member);
    assertEquals(await member.settle(wait(copies, "k")), []);
    await bench.nothing(member);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 2 });
    assertEquals(await lettersOf(bench).redrive(), 1);
    const taken = [...await bench.take(member, 1), ...await bench.take(member, 1), ...await bench.take(member, 1)];
    assertEquals(positionsOf(taken), all);
    assertEquals(taken.map(({ fields }) => fields), records.map(({ fields }) => fields));
    assertEquals(await member.settle(ack(taken)), []);
    assertEquals((await bench.group()).pending, 0);
  }),

  contract("43", "settle() keeps keys apart, whatever they contain", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const keys = ["", "a", "b", "a\0", "a\0b", "a:b", "1:a", "ab", "é", "🎉", "a b", "x".repeat(1_000)];
    const all = await bench.append(3 * keys.length);
    const records = await bench.take(member, 3 * keys.length);
    await member.settle(keys.flatMap((key, nth) => dead([records[nth]!], { key })));
    await member.settle(
      keys.flatMap((key, nth) => wait(records.slice(keys.length).filter((_, at) => at % keys.length === nth), key)),
    );
    assertEquals(await countsOf(bench), { keys: keys.length, waiting: 2 * keys.length });
    const letters = await bench.letters();
    assertEquals(letters.map(({ key }) => key), keys);
    for (const [nth, key] of keys.entries()) {
      await lettersOf(bench).redrive([letters[nth]!.id]);
      const mine = [all[nth], all[nth + keys.length], all[nth + 2 * keys.length]];
      const taken = await bench.take(member);
      assertEquals(positionsOf(taken), mine, `the key ${JSON.stringify(key.slice(0, 10))}`);
      await member.settle(ack(taken));
    }
  }),

  contract("43", "settle() lets no more than 10,000 deliveries wait", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const all = await bench.append(1);
    await member.settle(dead(await bench.take(member), { key: "k" }));
    let last: ClaimedRecord | undefined;
    for (let waiting = 0; waiting <= MAX_WAITING; waiting += 500) {
      await bench.append(500);
      const taken = await bench.take(member, 500);
      if (waiting === MAX_WAITING) last = taken[0];
      else assertEquals(await member.settle(wait(taken, "k")), []);
    }
    assertEquals(await member.held([{ position: last!.position, key: "k" }]), {
      positions: [last!.position],
      room: 0,
      freed: (await member.held([])).freed,
    });
    await member.settle(wait([last!], "k"));
    const [back] = await bench.take(member);
    assertEquals([back!.position, (await countsOf(bench)).waiting], [last!.position, MAX_WAITING]);
    await member.settle(dead([back!], { key: "k", reason: "held" }));
    assertEquals((await bench.letters()).map(({ reason }) => reason), ["permanent", "held"]);
    const { id } = (await bench.letters())[0]!;
    assertEquals(await lettersOf(bench).redrive([id]), 1);
    assertEquals(await countsOf(bench), { keys: 1, waiting: 0 });
    assertEquals(positionsOf(await bench.take(member, 1)), all);
  }),

  contract("43", "member() and alterGroup() keep one whenDead for a group", async (bench) => {
    const { all, later, member } = await (async () => {
      const member = await bench.join("a", HOLDS);
      const refused = await assertRejects(() => bench.join("b"), StoreError);
      assertEquals(refused.kind, "policy-differs");
      assertStringIncludes(refused.message, 'with whenDead "continue": the group has "hold-key"');
      return { ...await holdFirst(bench, member, 3), member };
    })();
    await member.settle(wait(later, "k"));
    const types = undefined;
    assertEquals(
      (await assertRejects(() => bench.admin.alterGroup("group", { types, whenDead: "continue" }), StoreError)).kind,
      "group-busy",
    );
    await member.leave();
    await bench.admin.alterGroup("group", { types });
    assertEquals((await bench.group()).whenDead, "hold-key");
    await bench.admin.alterGroup("group", { types, whenDead: "continue" });
    const { held, whenDead } = await bench.group();
    assertEquals({ held, whenDead }, { held: { keys: 0, waiting: 0, from: undefined }, whenDead: "continue" });
    await assertRejects(() => bench.join("b", HOLDS), StoreError, 'the group has "continue"');
    const other = await bench.join("b");
    assertEquals(await bench.drain(other), all.slice(1));
    await other.leave();
    // A letter of that time holds nothing later.
    await bench.admin.alterGroup("group", { types, whenDead: "hold-key" });
    const holder = await bench.join("c", HOLDS);
    assertEquals([await heldOf(holder, all), (await bench.letters())[0]!.key], [[], "k"]);
  }),

  contract("43", "settle() holds no key in a group with whenDead continue", async (bench) => {
    const member = await bench.join("a");
    const { all, later } = await holdFirst(bench, member, 2);
    assertEquals((await bench.letters())[0]!.key, "k");
    assertEquals(await countsOf(bench), { keys: 0, waiting: 0 });
    await member.settle(wait(later, "k"));
    const claim = await bench.claim(member);
    assertEquals([positionsOf(claim.records), claim.holding], [[all[1]], undefined]);
  }),

  contract("43", "settle() releases a delivery that is to wait in a group with whenDead continue", async (bench) => {
    const member = await bench.join("a");
    const orderAfter = async (outcomeOf: (record: ClaimedRecord) => Outcome[]): Promise<number[]> => {
      const all = await bench.append(2);
      const [first, second] = await bench.take(member, 2);
      await member.settle(release([second!]));
      await bench.pass(2);
      await member.settle(outcomeOf(first!));
      const taken = [...await bench.take(member, 1), ...await bench.take(member, 1)];
      await member.settle(ack(taken));
      return positionsOf(taken).map((position) => all.indexOf(position));
    };
    assertEquals(await orderAfter((record) => wait([record], "k")), await orderAfter((record) => release([record])));
  }),

  contract("43", "removeGroup() forgets held keys, and other groups have their own", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const other = await bench.join("a", { ...HOLDS, group: "other" });
    const { all, later } = await holdFirst(bench, member, 3);
    await member.settle(wait(later, "k"));
    assertEquals(await heldOf(other, all), []);
    assertEquals(await countsOf(bench, "other"), { keys: 0, waiting: 0 });
    await assertRejects(() => bench.admin.removeGroup("group"), StoreError);
    assert(await bench.admin.removeGroup("group", { force: true }));
    bench.abandon(member);
    const again = await bench.join("b", HOLDS);
    assertEquals(await countsOf(bench), { keys: 0, waiting: 0 });
    assertEquals([await heldOf(again, all), await bench.drain(again)], [[], all]);
  }),

  contract("43", "held() and redrive() work over another store with the same data", async (bench) => {
    const member = await bench.join("a", HOLDS);
    const { all, later } = await holdFirst(bench, member, 3);
    await member.settle(wait(later, "k"));
    await member.leave();
    const store = await bench.reopen();
    const heir = await bench.join("b", { ...HOLDS, store });
    assertEquals(await heldOf(heir, all), all.slice(1));
    const { records, holding } = await bench.wake(heir, () => lettersOf(bench).redrive());
    assertEquals([positionsOf(records), holding], [all, undefined]);
  }, "second-store"),
];
