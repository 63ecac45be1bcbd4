import { assert, assertEquals, assertGreaterOrEqual, assertLessOrEqual, assertNotEquals } from "@std/assert";
import type { Position } from "../../store/mod.ts";
import {
  ack,
  type Bench,
  contract,
  dead,
  isolate,
  positionsOf,
  release,
  retry,
  type StoreContract,
} from "../_store_bench.ts";

/** Appends entries and dead-letters all of them in the group. */
async function deadLetter(bench: Bench, count: number): Promise<readonly Position[]> {
  const positions = await bench.append(count);
  const member = await bench.join("undertaker");
  const taken = await bench.take(member, count);
  assertEquals(await member.settle(dead(taken)), []);
  await member.leave();
  return positions;
}

function deadLettersOf(bench: Bench) {
  return bench.admin.deadLetters("group");
}

export const letters: readonly StoreContract[] = [
  contract("22", "settle() writes a complete dead letter", async (bench) => {
    const [position] = await bench.append(1);
    const member = await bench.join();
    const [record] = await bench.read();
    const error = { name: "TypeError", message: "no such thing: ünï", stack: "at line 1\nat line 2" };
    let first: number | undefined;
    for (let failures = 0; failures < 2; failures++) {
      const taken = await bench.take(member);
      await member.settle(retry(taken, bench.short));
      first ??= Date.now();
      await bench.pass(bench.short);
    }
    const taken = await bench.take(member);
    assertEquals(await member.settle(dead(taken, { reason: "attempts", attempts: 3, error })), []);
    const [letter, ...others] = await bench.letters();
    assertEquals(others, []);
    const { id, firstFailedAt, lastFailedAt, ...rest } = letter!;
    assertEquals(rest, {
      position: position!,
      fields: record!.fields,
      reason: "attempts",
      attempts: 3,
      consumer: member.consumer,
      error,
    });
    assertEquals(typeof id, "string");
    assertGreaterOrEqual(lastFailedAt - firstFailedAt, 2 * bench.short - 5);
    assertLessOrEqual(lastFailedAt - firstFailedAt, 2 * bench.short + 5_000);
    const { pending, deadLetters, floor } = await bench.group();
    assertEquals({ pending, deadLetters, floor }, { pending: 0, deadLetters: 1, floor: undefined });
    await bench.pass(bench.short);
    await bench.nothing(member);
  }),

  contract("22, 24", "settle() keeps the reason and an error without a stack in a dead letter", async (bench) => {
    const member = await bench.join();
    await bench.append(4);
    const taken = await bench.take(member);
    const reasons = ["attempts", "permanent", "undecodable", "died"] as const;
    const error = { name: "", message: "" };
    await member.settle(taken.flatMap((record, index) => dead([record], { reason: reasons[index]!, error })));
    const all = await bench.letters();
    assertEquals(all.map(({ reason }) => reason), [...reasons]);
    assert(all.every((letter) => !("stack" in letter.error) || letter.error.stack === undefined));
    assert(all.every(({ firstFailedAt, lastFailedAt }) => firstFailedAt === lastFailedAt));
  }),

  contract("23", "settle() records the time of death in a dead letter of reason died", async (bench) => {
    await bench.append(1);
    await bench.die(1, "dead", isolate);
    const member = await bench.join();
    const taken = await bench.take(member);
    const recovered = bench.clock.now();
    await bench.pass(bench.short);
    await member.settle(dead(taken, { reason: "died", attempts: 1 }));
    const [letter] = await bench.letters();
    assertEquals([letter!.firstFailedAt, letter!.lastFailedAt], [recovered, recovered]);
  }, "clock"),

  contract("22", "settle() changes no other group when one dead-letters an event", async (bench) => {
    const other = await bench.join("a", { group: "other" });
    const positions = await deadLetter(bench, 2);
    assertEquals(await bench.letters("other"), []);
    assertEquals((await bench.group("other")).deadLetters, 0);
    assertEquals(await bench.drain(other), positions);
    assertEquals(positionsOf(await bench.read()), positions);
  }),

  contract("22", "settle() writes no dead letter when it is refused", async (bench) => {
    const all = await bench.append(1);
    const member = await bench.join();
    const taken = await bench.take(member);
    await member.settle(ack(taken));
    assertEquals(await member.settle(dead(taken)), all);
    assertEquals(await bench.letters(), []);
  }),

  contract("22", "list() pages through dead letters, oldest first, by rising ids", async (bench) => {
    const positions = [
      ...await deadLetter(bench, 500),
      ...await deadLetter(bench, 500),
      ...await deadLetter(bench, 200),
    ];
    const all = await bench.letters();
    assertEquals(positionsOf(all), positions);
    assertEquals(new Set(all.map(({ id }) => id)).size, 1_200);
    const listing = deadLettersOf(bench).list({ signal: AbortSignal.abort("enough") });
    assertEquals(await Array.fromAsync(listing).catch((error) => error), "enough");
    for await (const page of deadLettersOf(bench).list()) {
      assertEquals(page[0], all[0]);
      break;
    }
  }),

  contract("25", "list() ends with the last dead letter that existed when it began", async (bench) => {
    const positions = await deadLetter(bench, 600);
    const listed: Position[] = [];
    for await (const page of deadLettersOf(bench).list()) {
      listed.push(...positionsOf(page));
      await deadLetter(bench, 1);
    }
    assertEquals(listed, positions);
  }),

  contract("25", "redrive() returns all dead letters to their group only, as new deliveries", async (bench) => {
    const other = await bench.join("a", { group: "other" });
    const positions = await deadLetter(bench, 3);
    assertEquals(await bench.drain(other), positions);
    const before = [await bench.read(), await bench.group("other"), (await bench.admin.info()).length];
    assertEquals(await deadLettersOf(bench).redrive(), 3);
    assertEquals(await bench.letters(), []);
    assertEquals([await bench.read(), await bench.group("other"), (await bench.admin.info()).length], before);
    await bench.nothing(other);
    const { pending, lag, floor, deadLetters } = await bench.group();
    assertEquals({ pending, lag, floor, deadLetters }, { pending: 3, lag: 0, floor: positions[0], deadLetters: 0 });
    const member = await bench.join();
    const taken = await bench.take(member);
    assertEquals(positionsOf(taken), positions);
    assert(taken.every(({ attempt, recovered }) => attempt === 1 && recovered === 0));
    assertEquals(taken.map(({ fields }) => fields), (await bench.read()).map(({ fields }) => fields));
    assertEquals(await member.settle(ack(taken)), []);
    assertEquals(await deadLettersOf(bench).redrive(), 0);
  }),

  contract("25", "redrive() returns the named dead letters, each once, and keeps the rest", async (bench) => {
    const positions = await deadLetter(bench, 4);
    const all = await bench.letters();
    const [one, two, three, four] = all.map(({ id }) => id);
    assertEquals(await deadLettersOf(bench).redrive([]), 0);
    assertEquals(await deadLettersOf(bench).redrive(["0", "no such letter", ""]), 0);
    assertEquals(await deadLettersOf(bench).redrive([three!]), 1);
    assertEquals(await deadLettersOf(bench).redrive([three!, one!, one!]), 1);
    assertEquals((await bench.letters()).map(({ id }) => id), [two!, four!]);
    const member = await bench.join();
    assertEquals(await bench.drain(member), [positions[0], positions[2]]);
  }),

  contract("25", "redrive() resets attempts and refuses settles of the earlier delivery", async (bench) => {
    const all = await bench.append(1);
    const member = await bench.join();
    await member.settle(retry(await bench.take(member), 0));
    const before = await bench.take(member);
    const outcomes = dead(before);
    await member.settle(outcomes);
    await deadLettersOf(bench).redrive();
    const after = await bench.take(member);
    assertEquals([after[0]!.attempt, after[0]!.recovered], [1, 0]);
    assertNotEquals(after[0]!.fence, before[0]!.fence);
    assertEquals(await member.settle(outcomes), all);
    assertEquals(await member.settle(ack(before)), all);
    assertEquals(await member.settle(ack(after)), []);
  }),

  contract("12, 25", "redrive() refuses settles of the first delivery after the second began", async (bench) => {
    const all = await bench.append(1);
    const member = await bench.join();
    const before = await bench.take(member);
    await member.settle(dead(before));
    await deadLettersOf(bench).redrive();
    const after = await bench.take(member);
    assertNotEquals(after[0]!.fence, before[0]!.fence);
    assertEquals(await member.settle(dead(before)), all);
    assertEquals(await member.settle(ack(after)), []);
    assertEquals(await bench.letters(), []);
  }),

  contract("25", "redrive() returns trimmed events in order of position", async (bench) => {
    const positions = await deadLetter(bench, 3);
    const fields = (await bench.letters()).map((letter) => letter.fields);
    assertEquals(await bench.admin.trim({ maxLength: 0 }), { removed: 3, pinnedBy: undefined });
    assertEquals(await deadLettersOf(bench).redrive(), 3);
    assertEquals(await bench.read(), []);
    assertEquals((await bench.admin.info()).length, 0);
    assertEquals((await bench.group()).pending, 3);
    const member = await bench.join();
    const added = await bench.append(1);
    const taken = await bench.take(member);
    assertEquals(positionsOf(taken), positions);
    assertEquals(taken.map((record) => record.fields), fields);
    assertEquals(await member.settle(retry([taken[1]!], 0)), []);
    const again = await bench.take(member);
    assertEquals([again[0]!.position, again[0]!.attempt], [positions[1], 2]);
    assertEquals(again[0]!.fields, fields[1]);
    // The event can be dead-lettered again, with all its fields.
    assertEquals(await member.settle([...dead(again), ...ack([taken[0]!, taken[2]!])]), []);
    assertEquals((await bench.letters()).map((letter) => letter.fields), [fields[1]!]);
    assertEquals(await bench.drain(member), added);
  }),

  contract("25", "redrive() keeps a copy when the consumer that claimed it dies", async (bench) => {
    const positions = await deadLetter(bench, 2);
    await bench.admin.trim({ maxLength: 0 });
    await deadLettersOf(bench).redrive();
    await bench.die(2);
    const taken = await bench.take(await bench.join());
    assertEquals(taken.map(({ position, recovered }) => [position, recovered]), positions.map((it) => [it, 1]));
  }),

  contract("25, 27", "redrive() keeps a pending original from being trimmed", async (bench) => {
    const [first] = await deadLetter(bench, 3);
    await deadLettersOf(bench).redrive();
    assertEquals(await bench.admin.trim({ maxLength: 0 }), { removed: 0, pinnedBy: "group" });
    assertEquals((await bench.group()).floor, first);
  }),

  contract("25", "redrive() only removes the letter of an event that the group still handles", async (bench) => {
    const positions = await deadLetter(bench, 2);
    await bench.admin.rewind("group", positions[0]!);
    const member = await bench.join();
    const held = await bench.take(member, 1);
    assertEquals(await deadLettersOf(bench).redrive(), 2);
    assertEquals(await bench.letters(), []);
    assertEquals((await bench.group()).pending, 1);
    assertEquals(await member.settle(ack(held)), []);
    assertEquals(await bench.drain(member), [positions[1]]);
  }),

  contract("25", "redrive() wakes a waiting claim", async (bench) => {
    const positions = await deadLetter(bench, 1);
    const member = await bench.join();
    const { records } = await bench.wake(member, () => deadLettersOf(bench).redrive());
    assertEquals(positionsOf(records), positions);
    await member.settle(release(records));
  }),

  contract("25", "discard() removes all or the named dead letters permanently", async (bench) => {
    await deadLetter(bench, 4);
    const ids = (await bench.letters()).map(({ id }) => id);
    assertEquals(await deadLettersOf(bench).discard({ ids: [] }), 0);
    assertEquals(await deadLettersOf(bench).discard({ ids: [ids[1]!, ids[1]!, "no such letter"] }), 1);
    assertEquals((await bench.letters()).map(({ id }) => id), ids.toSpliced(1, 1));
    assertEquals(await deadLettersOf(bench).discard(), 3);
    assertEquals(await bench.letters(), []);
    assertEquals(await deadLettersOf(bench).redrive(), 0);
    await bench.nothing(await bench.join());
  }),

  contract("25", "discard() keeps the newest dead letters when bounded by length", async (bench) => {
    const positions = await deadLetter(bench, 5);
    assertEquals(await deadLettersOf(bench).discard({ maxLength: 7 }), 0);
    assertEquals(await deadLettersOf(bench).discard({ maxLength: 2 }), 3);
    assertEquals(positionsOf(await bench.letters()), positions.slice(3));
  }),

  contract("25", "discard() respects its bounds over many pages and among named letters", async (bench) => {
    const positions = [
      ...await deadLetter(bench, 400),
      ...await deadLetter(bench, 400),
      ...await deadLetter(bench, 400),
    ];
    const all = await bench.letters();
    assertEquals(all.length, positions.length);
    const odd = all.map(({ id }) => id).filter((_, index) => index % 2 === 1);
    assertEquals(await deadLettersOf(bench).discard({ ids: odd, maxLength: 590, maxAge: 3_600_000 }), 10);
    assertEquals(
      (await bench.letters()).map(({ id }) => id),
      all.map(({ id }) => id).filter((id) => !odd.slice(0, 10).includes(id)),
    );
    assertEquals(await deadLettersOf(bench).discard({ maxLength: 50, maxAge: 3_600_000 }), 1_140);
    assertEquals((await bench.letters()).map(({ id }) => id), all.slice(-50).map(({ id }) => id));
  }),

  contract("25, 31", "info() tells when the oldest dead letter last failed", async (bench) => {
    await bench.join();
    const oldest = async () => (await bench.group()).oldestDeadLetter;
    assertEquals(await oldest(), undefined);
    await deadLetter(bench, 1);
    const letters = await bench.letters();
    assertEquals(await oldest(), letters[0]!.lastFailedAt);
    await bench.pass(bench.short);
    await deadLetter(bench, 1);
    assertEquals(await oldest(), letters[0]!.lastFailedAt);
    await deadLettersOf(bench).discard({ maxLength: 1 });
    const [newer] = await bench.letters();
    assertNotEquals(newer!.lastFailedAt, letters[0]!.lastFailedAt);
    assertEquals(await oldest(), newer!.lastFailedAt);
    await deadLettersOf(bench).redrive();
    assertEquals(await oldest(), undefined);
  }),

  contract("25", "discard() removes dead letters older than maxAge by their last failure", async (bench) => {
    await deadLetter(bench, 2);
    await bench.pass(bench.short * 2);
    const added = bench.now();
    const positions = await deadLetter(bench, 1);
    assertEquals(await deadLettersOf(bench).discard({ maxAge: 60_000 }), 0);
    const removed = await deadLettersOf(bench).discard({ maxAge: bench.short });
    // On a busy machine, the last one may have become as old as that.
    assert(bench.isSooner(added, bench.short) ? removed === 2 : removed >= 2, `${removed} were removed`);
    assertEquals(positionsOf(await bench.letters()), positions.slice(0, 3 - removed));
  }),
];
