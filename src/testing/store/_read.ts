import { assert, assertEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { firstPositionAt, lastPositionAt, type Position, positionTime, type StoredRecord } from "../../store/mod.ts";
import { type Bench, contract, positionsOf, sleep, type StoreContract } from "../_store_bench.ts";

const PAST: Position = "0-1";
const FUTURE: Position = "99999999999999-0";

/** Reads in the background until the returned signal is aborted. */
function follow(bench: Bench, range: { from?: Position; after?: Position; limit?: number } = {}, store = bench.store): {
  readonly seen: StoredRecord[];
  readonly ended: Promise<void>;
  stop(reason: Error): void;
  sees(count: number): Promise<Position[]>;
} {
  const controller = new AbortController();
  const seen: StoredRecord[] = [];
  const ended = (async () => {
    for await (const page of store.read(bench.stream, { ...range, follow: true, signal: controller.signal })) {
      seen.push(...page);
    }
  })();
  ended.catch(() => {});
  const sees = async (count: number) => {
    while (seen.length < count && !bench.signal.aborted) await sleep(2);
    return positionsOf(seen);
  };
  return { seen, ended, stop: (reason) => controller.abort(reason), sees };
}

export const reading: readonly StoreContract[] = [
  contract("28", "read() yields nothing when the stream is empty", async (bench) => {
    assertEquals(await bench.read(), []);
    assertEquals(await bench.read({ from: PAST, to: FUTURE, limit: 3, reverse: true }), []);
  }),

  contract("28", "read() respects from, after, to and limit, forwards and in reverse", async (bench) => {
    const all = [...await bench.append(4), ...await bench.append(6)];
    const [, , third, , , sixth] = all;
    for (const reverse of [false, true]) {
      const expect = async (range: object, expected: readonly Position[]) => {
        const positions = positionsOf(await bench.read({ ...range, reverse }));
        assertEquals(positions, expected, `${JSON.stringify(range)}, reverse: ${reverse}`);
      };
      const ordered = (positions: readonly Position[]) => reverse ? positions.toReversed() : positions;
      await expect({}, ordered(all));
      await expect({ from: third }, ordered(all.slice(2)));
      await expect({ after: third }, ordered(all.slice(3)));
      await expect({ to: sixth }, ordered(all.slice(0, 6)));
      await expect({ from: third, to: sixth }, ordered(all.slice(2, 6)));
      await expect({ after: third, to: sixth }, ordered(all.slice(3, 6)));
      await expect({ from: third, after: sixth }, ordered(all.slice(6)));
      await expect({ from: sixth, after: third }, ordered(all.slice(5)));
      await expect({ from: third, to: third }, [third!]);
      await expect({ after: third, to: third }, []);
      await expect({ from: sixth, to: third }, []);
      await expect({ limit: 3 }, ordered(all).slice(0, 3));
      await expect({ from: third, limit: 2 }, ordered(all.slice(2)).slice(0, 2));
      await expect({ to: sixth, limit: 2 }, ordered(all.slice(0, 6)).slice(0, 2));
      await expect({ limit: 0 }, []);
      await expect({ limit: 1_000 }, ordered(all));
      await expect({ from: PAST, to: FUTURE }, ordered(all));
      await expect({ after: PAST }, ordered(all));
      await expect({ from: FUTURE }, []);
      await expect({ after: FUTURE }, []);
      await expect({ to: PAST }, []);
    }
  }),

  contract("28", "read() compares positions as numbers, up to the largest", async (bench) => {
    const positions: Position[] = [];
    for (let i = 0; i < 3; i++) positions.push(...await bench.append(4));
    const at = (ms: number) => ({ from: firstPositionAt(ms), to: lastPositionAt(ms) });
    const ms = positionTime(positions[0]!);
    const expected = positions.filter((position) => position.startsWith(`${ms}-`));
    assertEquals(positionsOf(await bench.read(at(ms))), expected);
    assertEquals(await bench.read(at(ms - 1)), []);
    assertEquals(positionsOf(await bench.read({ from: "9-18446744073709551615" })), positions);
    assertEquals(await bench.read({ from: "18446744073709551615-18446744073709551615" }), []);
  }),

  contract("28", "read() yields each of 1,200 entries once, in order, page by page", async (bench) => {
    const all: Position[] = [];
    for (let i = 0; i < 3; i++) all.push(...await bench.append(400));
    assertEquals(positionsOf(await bench.read()), all);
    assertEquals(positionsOf(await bench.read({ reverse: true })), all.toReversed());
    assertEquals(positionsOf(await bench.read({ limit: 1_100 })), all.slice(0, 1_100));
    assertEquals(positionsOf(await bench.read({ limit: 1_100, reverse: true })), all.toReversed().slice(0, 1_100));
  }),

  contract("28", "read() goes on when entries are appended and trimmed between its pages", async (bench) => {
    const all: Position[] = [];
    for (let i = 0; i < 3; i++) all.push(...await bench.append(500));
    const to = all.at(-1)!;
    const seen: Position[] = [];
    let pages = 0;
    for await (const page of bench.store.read(bench.stream, { to, signal: bench.signal })) {
      seen.push(...positionsOf(page));
      if (++pages > 1) continue;
      await bench.append(500);
      // Some entries that it has read are removed, and some that it has not.
      await bench.admin.trim({ maxLength: 600 });
    }
    const unseen = all.slice(1_400);
    assertEquals(seen, [...seen.slice(0, seen.length - unseen.length), ...unseen]);
    assertEquals(seen, all.filter((position) => seen.includes(position)));
  }),

  contract("28", "read() in reverse goes on when entries are appended and trimmed between its pages", async (bench) => {
    const all: Position[] = [];
    for (let i = 0; i < 3; i++) all.push(...await bench.append(500));
    const seen: Position[] = [];
    for await (const page of bench.store.read(bench.stream, { reverse: true, signal: bench.signal })) {
      if (seen.length === 0) {
        await bench.append(10);
        await bench.admin.trim({ maxLength: 1_410 });
      }
      seen.push(...positionsOf(page));
    }
    assertEquals(seen.slice(0, 1_400), all.slice(100).toReversed());
  }),

  contract("28", "read() fetches nothing before the first pull", async (bench) => {
    const pages = bench.store.read(bench.stream, { signal: bench.signal });
    const [position] = await bench.append(1);
    for await (const page of pages) {
      assertEquals(positionsOf(page), [position]);
      break;
    }
  }),

  contract("28", "read() touches no group", async (bench) => {
    const member = await bench.join();
    const all = await bench.append(3);
    const before = await bench.group();
    await bench.read();
    assertEquals(await bench.group(), before);
    assertEquals(positionsOf(await bench.take(member)), all);
  }),

  contract("28", "read() rejects with the signal's reason when it is aborted", async (bench) => {
    for (let i = 0; i < 3; i++) await bench.append(500);
    const reason = new Error("enough");
    assertStrictEquals(await assertRejects(() => bench.read({ signal: AbortSignal.abort(reason) })), reason);
    const controller = new AbortController();
    const pages = bench.store.read(bench.stream, { signal: controller.signal })[Symbol.asyncIterator]();
    const { value } = await pages.next();
    assert(value.length < 1_500, "1,500 entries are more than one page");
    controller.abort(reason);
    assertStrictEquals(await assertRejects(() => pages.next()), reason);
  }),

  contract("28, 33", "read() waits for more when it follows, until it is aborted", async (bench) => {
    const all = [...await bench.append(2)];
    const tail = follow(bench);
    assertEquals(await tail.sees(2), all);
    all.push(...await bench.append(3));
    assertEquals(await tail.sees(5), all);
    all.push(...await bench.append(700 - 5 - 200), ...await bench.append(200));
    assertEquals(await tail.sees(700), all);
    const reason = new Error("enough");
    tail.stop(reason);
    assertStrictEquals(await assertRejects(() => tail.ended), reason);
    await bench.append(1);
    assertEquals(tail.seen.length, 700);
  }),

  contract("28, 33", "read() follows from a position that is still to come", async (bench) => {
    const [first, second] = await bench.append(2);
    const afterLast = follow(bench, { after: second! });
    const fromFirst = follow(bench, { after: first! });
    const fromFuture = follow(bench, { from: FUTURE });
    const afterFuture = follow(bench, { after: FUTURE });
    await sleep(10);
    const added = await bench.append(2);
    assertEquals(await afterLast.sees(2), added);
    assertEquals(await fromFirst.sees(3), [second, ...added]);
    await sleep(10);
    assertEquals([...fromFuture.seen, ...afterFuture.seen], []);
    for (const tail of [afterLast, fromFirst, fromFuture, afterFuture]) {
      tail.stop(new Error("enough"));
      await assertRejects(() => tail.ended, Error, "enough");
    }
  }),

  contract("28", "read() ends at its limit when it follows", async (bench) => {
    const tail = follow(bench, { limit: 3 });
    const all = [...await bench.append(2), ...await bench.append(2)];
    await tail.ended;
    assertEquals(positionsOf(tail.seen), all.slice(0, 3));
  }),

  contract("28, 33", "read() goes on following when entries it has read are trimmed", async (bench) => {
    const all = [...await bench.append(3)];
    const tail = follow(bench);
    await tail.sees(3);
    await bench.admin.trim({ maxLength: 0 });
    all.push(...await bench.append(2));
    assertEquals(await tail.sees(5), all);
    tail.stop(new Error("enough"));
    await assertRejects(() => tail.ended, Error, "enough");
  }),

  contract("33", "read() follows what another store over the same data appends", async (bench) => {
    const other = await bench.reopen();
    const tail = follow(bench);
    const all = [...await other.append(bench.stream, bench.entries(2))];
    assertEquals(await tail.sees(2), all);
    await sleep(10);
    all.push(...await other.append(bench.stream, bench.entries(2)));
    assertEquals(await tail.sees(4), all);
    tail.stop(new Error("enough"));
    await assertRejects(() => tail.ended, Error, "enough");
  }, "second-store"),
];
