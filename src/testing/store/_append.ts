import { assert, assertEquals, assertNotEquals, assertRejects, assertStrictEquals } from "@std/assert";
import { comparePositions, type Fields, isPosition, type Position } from "../../store/mod.ts";
import { contract, positionsOf, type StoreContract } from "../_store_bench.ts";

function assertRising(positions: readonly Position[]): void {
  for (const [index, position] of positions.entries()) {
    assert(isPosition(position), `${position} is not a position`);
    if (index > 0) assert(comparePositions(positions[index - 1]!, position) < 0, `not rising: ${positions}`);
  }
}

/** Names that mean something to JavaScript objects, to SQL or to key patterns. */
const ODD_NAMES = ["__proto__", "constructor", "toString", "a.b:c", "it's", "%", "ünï😀"];

export const appending: readonly StoreContract[] = [
  contract("1", "append() stores unusual fields unchanged", async (bench) => {
    const records: Fields[] = [
      ["id", "1", "payload", "{}"],
      ["b", "2", "a", "1", "b", "3"],
      ["", "", "__proto__", "constructor"],
      ["text", "ünï😀\u0000\u001e\u001f\n'\"\\", "9", "number", "1", "before"],
    ];
    const positions = await bench.store.append(bench.stream, records);
    assertEquals(await bench.read(), positions.map((position, index) => ({ position, fields: records[index]! })));
  }),

  contract("30", "append() resolves with rising positions in the records' order", async (bench) => {
    const positions = [...await bench.append(3), ...await bench.append(1), ...await bench.append(500)];
    assertEquals(positions.length, 504);
    assertRising(positions);
    const records = await bench.read();
    assertEquals(positionsOf(records), positions);
    assertEquals(records.map(({ fields }) => fields[1]), positions.map((_, index) => `${index + 1}`));
  }),

  contract("30", "append() keeps the order of concurrent calls", async (bench) => {
    const batches = await Promise.all(Array.from({ length: 40 }, (_, index) => bench.append(index % 3 + 1)));
    assertRising(batches.flat());
    const records = await bench.read();
    assertEquals(records.map(({ fields }) => fields[1]), records.map((_, index) => `${index + 1}`));
  }),

  contract("30", "append() makes a batch visible as a whole", async (bench) => {
    const appends = Promise.all(Array.from({ length: 5 }, () => bench.append(100)));
    let done = false;
    appends.finally(() => done = true);
    while (!done) {
      assertEquals((await bench.admin.info()).length % 100, 0);
      assertEquals((await bench.read()).length % 100, 0);
    }
    assertEquals((await bench.admin.info()).length, 500);
  }),

  contract("30", "append() accepts a batch of one MiB", async (bench) => {
    const payload = "x".repeat(1024 * 1024);
    await bench.store.append(bench.stream, [["payload", payload]]);
    assertEquals((await bench.read())[0]!.fields[1]!.length, payload.length);
  }),

  contract("30", "append() adds nothing when there are no records", async (bench) => {
    assertEquals(await bench.store.append(bench.stream, []), []);
    assertEquals(await bench.admin.info(), { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] });
  }),

  contract("30", "append() rejects with the signal's reason when it is already aborted", async (bench) => {
    const reason = new Error("enough");
    const aborted = bench.append(1, { signal: AbortSignal.abort(reason) });
    assertStrictEquals(await assertRejects(() => aborted), reason);
  }),

  contract("34", "append() keeps positions rising when the clock stands still or goes back", async (bench) => {
    const positions = [...await bench.append(2), ...await bench.append(2)];
    bench.clock.advance(-5_000);
    positions.push(...await bench.append(2));
    bench.clock.advance(4_000);
    positions.push(...await bench.append(1));
    assertRising(positions);
    bench.clock.advance(2_000);
    const [later] = await bench.append(1);
    assertRising([...positions, later!]);
    assertEquals(later, `${bench.clock.now()}-0`);
    const member = await bench.join();
    assertEquals(await bench.drain(member), [...positions, later]);
  }, "clock"),

  contract("34", "append() gives equal milliseconds different positions", async (bench) => {
    const { now } = bench.clock;
    assertEquals(await bench.append(3), [`${now()}-0`, `${now()}-1`, `${now()}-2`]);
  }, "clock"),

  contract("11", "append() keeps streams with unusual names apart", async (bench) => {
    for (const name of ODD_NAMES) await bench.store.append(name, [["name", name]]);
    for (const name of ODD_NAMES) {
      const pages = await Array.fromAsync(bench.store.read(name));
      assertEquals(pages.flat().map(({ fields }) => fields), [["name", name]]);
    }
    assertEquals(await bench.read(), []);
  }),

  contract("11, 16", "member() keeps groups and consumers with unusual names apart", async (bench) => {
    const stream = "__proto__";
    const [position] = await bench.store.append(stream, [["id", "1"]]);
    const names = new Set<string>();
    for (const name of ODD_NAMES) {
      const member = await bench.join(name, { group: name, stream });
      assertEquals(member.consumer.slice(0, name.length + 1), `${name}.`);
      assertNotEquals(member.consumer, `${name}.`);
      names.add(member.consumer);
      assertEquals(positionsOf(await bench.take(member)), [position]);
    }
    assertEquals(names.size, ODD_NAMES.length);
    const { groups } = await bench.store.admin(stream).info();
    assertEquals(groups.map(({ name }) => name).sort(), [...ODD_NAMES].sort());
    assert(groups.every(({ pending }) => pending === 1));
  }),

  contract("11", "admin() and read() find nothing in a stream that does not exist", async (bench) => {
    for (const name of ["toString", "hasOwnProperty", "nobody"]) {
      assertEquals(await Array.fromAsync(bench.store.read(name)), []);
      const admin = bench.store.admin(name);
      assertEquals(await admin.info(), { length: 0, bytes: 0, first: undefined, last: undefined, groups: [] });
      assertEquals(await admin.trim({ maxLength: 0, force: true }), { removed: 0, pinnedBy: undefined });
      assertEquals(await admin.removeGroup("constructor"), false);
      assertEquals(await Array.fromAsync(admin.deadLetters("__proto__").list()), []);
      assertEquals(await admin.deadLetters("__proto__").redrive(), 0);
      assertEquals(await admin.deadLetters("__proto__").discard(), 0);
    }
  }),

  contract("11, 16", "append() is visible at once to another store over the same data", async (bench) => {
    const other = await bench.reopen();
    const first = await bench.append(2);
    assertEquals(positionsOf(await bench.read({}, other)), first);
    const second = await other.append(bench.stream, bench.entries(2));
    assertRising([...first, ...second]);
    assertEquals(positionsOf(await bench.read()), [...first, ...second]);
  }, "second-store"),
];
