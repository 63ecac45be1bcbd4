// Guarantee 27: unread entries that another program removed are reported.

import fc from "fast-check";
import { assert, assertEquals, assertLessOrEqual } from "@std/assert";
import { groupKeys, holdingKeyList, marksKey } from "../../../src/redis/_keys.ts";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import type { Reply } from "../../../src/redis/connection/client.ts";
import type { Script } from "../../../src/redis/connection/_script.ts";
import { CLAIM } from "../../../src/redis/scripts/consuming/claim.ts";
import { FORCE_TRIM } from "../../../src/redis/scripts/operating/force_trim.ts";
import { JOIN } from "../../../src/redis/scripts/consuming/join.ts";
import { LEAVE } from "../../../src/redis/scripts/consuming/leave.ts";
import { REWIND } from "../../../src/redis/scripts/operating/rewind.ts";
import { openConnection } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

const STREAM = "events:Removed";
const KEYS = groupKeys(STREAM, "group");
const LEASE = "60000";

let server: RedisServer;
Deno.test.beforeAll(async () => void (server = await RedisServer.start()));
Deno.test.afterAll(() => server[Symbol.asyncDispose]());

/** A stream whose entries are 1-0, 2-0 and so on, and a group that has joined it. */
class Bench {
  #connection: TimedConnection;
  #last = 0;

  constructor(connection: TimedConnection) {
    this.#connection = connection;
  }

  send(...command: string[]): Promise<Reply> {
    return this.#connection.send(command);
  }

  run(script: Script, consumer: string, ...args: string[]): Promise<Reply> {
    return script.run(this.#connection, holdingKeyList(KEYS), ["group", consumer, "", ...args]);
  }

  async empty(): Promise<void> {
    await this.send("FLUSHALL");
    this.#last = 0;
  }

  /** Appends `count` entries; returns their numbers. */
  async append(count: number): Promise<number[]> {
    const added = Array.from({ length: count }, () => ++this.#last);
    for (const n of added) await this.send("XADD", STREAM, `${n}-0`, "n", `${n}`);
    return added;
  }

  /** Has the group read up to `count` entries; returns their numbers. */
  async read(count: number): Promise<number[]> {
    const reply = await this.send("XREADGROUP", "GROUP", "group", "me.1", "COUNT", `${count}`, "STREAMS", STREAM, ">");
    const entries = reply === null ? [] : (reply as [[string, [string][]]])[0][1];
    return entries.map(([position]) => parseInt(position));
  }

  join(start = "0-0"): Promise<Reply> {
    return this.run(JOIN, "me.1", LEASE, start, "life", "");
  }

  /** The next gap that CLAIM reports, compared now: joining again skips the pause between comparisons. */
  async gap(): Promise<string> {
    await this.join();
    return String((await this.run(CLAIM, "me.1", LEASE, "10", "30000") as Reply[])[7]);
  }

  forceTrim(length: number): Promise<Reply> {
    return FORCE_TRIM.run(this.#connection, [STREAM, marksKey(STREAM), KEYS.meta], [
      "",
      `${length}`,
      "",
      "1000",
      "group",
    ]);
  }
}

function test(name: string, run: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    const connection = await openConnection(server.url);
    const bench = new Bench(connection);
    try {
      await bench.empty();
      await run(bench);
    } finally {
      connection.close();
    }
  });
}

test("CLAIM reports a gap before the next unread entry once, with its exact bounds and count", async (bench) => {
  await bench.append(100);
  await bench.join();
  await bench.read(10);
  assertEquals(await bench.gap(), "");
  await bench.send("XTRIM", STREAM, "MAXLEN", "10");
  // The lowest position that may be missing is the one after the last read entry.
  assertEquals(await bench.gap(), "10-1 90-18446744073709551615 80");
  assertEquals(await bench.gap(), "");
  assertEquals(await bench.read(100), [91, 92, 93, 94, 95, 96, 97, 98, 99, 100]);
  assertEquals(await bench.gap(), "");
});

test("CLAIM reports a gap when all entries are gone, and when an entry came and went between two comparisons", async (bench) => {
  await bench.append(5);
  await bench.join();
  await bench.send("XTRIM", STREAM, "MAXLEN", "0");
  assertEquals(await bench.gap(), "1-0 5-0 5");
  await bench.append(1);
  await bench.send("XDEL", STREAM, "6-0");
  assertEquals(await bench.gap(), "6-0 6-0 1");
});

test("CLAIM reports a gap when the consumer left before, and when it died", async (bench) => {
  for (const leaves of [true, false]) {
    await bench.empty();
    await bench.append(50);
    await bench.join();
    await bench.read(10);
    if (leaves) await bench.run(LEAVE, "me.1", "1000");
    await bench.send("XTRIM", STREAM, "MAXLEN", "20");
    // A dead consumer made no last comparison, so that the start of its reading is unknown.
    assertEquals(await bench.gap(), `${leaves ? "10-1" : "1-0"} 30-18446744073709551615 20`);
    // Servers differ in whether they count the gap as read once the group reads past it.
    await bench.read(5);
    await bench.send("XTRIM", STREAM, "MAXLEN", "10");
    assertEquals(await bench.gap(), "31-0 40-18446744073709551615 5");
    assertEquals(await bench.send("EXISTS", KEYS.counting), 0);
  }
});

test("CLAIM reports a deleted entry when it was unread, and only then", async (bench) => {
  await bench.append(200);
  await bench.join();
  await bench.read(20);
  await bench.send("XDEL", STREAM, "7-0");
  assertEquals(await bench.gap(), "");
  await bench.send("XDEL", STREAM, "150-0");
  assertEquals(await bench.gap(), "150-0 150-0 1");
  // The server does not know how many entries were deleted in the middle of a long backlog.
  await bench.send("XDEL", STREAM, "160-0", "161-0");
  const [from, to, count] = (await bench.gap()).split(" ");
  assertEquals([to, count], ["161-0", "-"]);
  assertLessOrEqual(parseInt(from!), 160);
  assertEquals(await bench.gap(), "");
});

test("CLAIM joins several gaps when they were not reported yet, also those of a forced trim", async (bench) => {
  await bench.append(20);
  await bench.join();
  await bench.send("XTRIM", STREAM, "MAXLEN", "15");
  await bench.run(LEAVE, "me.1", "1000");
  assertEquals(await bench.forceTrim(10), [5, "", 0]);
  assertEquals(await bench.forceTrim(9), [1, "", 0]);
  assertEquals(await bench.gap(), "1-0 11-0 11");
});

test("CLAIM reports nothing when retention trimmed, the group was rewound, or it begins later", async (bench) => {
  await bench.append(20);
  await bench.join();
  await bench.read(15);
  await bench.send("XTRIM", STREAM, "MAXLEN", "5");
  assertEquals(await bench.gap(), "");
  await bench.run(REWIND, "", "0-0", "0-1");
  assertEquals(await bench.gap(), "");
  await bench.run(REWIND, "", "18-0", "18-1");
  await bench.send("XTRIM", STREAM, "MAXLEN", "2");
  assertEquals(await bench.gap(), "");
  await bench.run(REWIND, "", "30-0", "30-1");
  await bench.append(5);
  await bench.send("XTRIM", STREAM, "MAXLEN", "0");
  assertEquals(await bench.gap(), "");
});

test("REWIND keeps an unreported gap, and CLAIM finds a later one", async (bench) => {
  await bench.append(300);
  await bench.join();
  await bench.read(100);
  await bench.join();
  await bench.send("XTRIM", STREAM, "MAXLEN", "150");
  await bench.run(REWIND, "", "200-0", "200-1");
  assertEquals(await bench.gap(), "100-1 150-18446744073709551615 50");
  // The server does not know how many entries are unread that far back.
  await bench.send("XTRIM", STREAM, "MAXLEN", "70");
  assertEquals(await bench.gap(), "201-0 230-18446744073709551615 -");
});

test("CLAIM reports no guess when another server has become the primary", async (bench) => {
  await bench.append(100);
  await bench.join();
  await bench.read(10);
  const mark = String(await bench.send("HGET", KEYS.meta, "mark")).split(" ");
  assertEquals(mark.length, 10);
  // As after a failover: the new primary has counted reads differently from the old one.
  mark[8] = "0".repeat(40);
  await bench.send("HSET", KEYS.meta, "mark", mark.join(" "));
  await bench.read(50);
  await bench.send("XTRIM", STREAM, "MAXLEN", "45");
  assertEquals(await bench.gap(), "");
  await bench.read(100);
  await bench.append(10);
  assertEquals(await bench.gap(), "");
  await bench.send("XTRIM", STREAM, "MAXLEN", "4");
  assertEquals(await bench.gap(), "101-0 106-18446744073709551615 6");
});

test("CLAIM never reports more entries than were removed unread when commands come in random order", async (bench) => {
  const count = fc.integer({ min: 1, max: 60 });
  const command = fc.oneof(
    fc.record({ do: fc.constant("append" as const), count }),
    fc.record({ do: fc.constant("read" as const), count }),
    fc.record({ do: fc.constantFrom("trim" as const, "force" as const), count }),
    fc.record({ do: fc.constant("delete" as const), count }),
    fc.record({ do: fc.constant("look" as const), count: fc.constant(0) }),
    fc.record({ do: fc.constant("rewind" as const), count }),
  );
  const property = fc.asyncProperty(fc.array(command, { minLength: 5, maxLength: 40 }), async (commands) => {
    await bench.empty();
    let [present, unread, lost] = [new Set<number>(), new Set<number>(), 0];
    const remove = (gone: readonly number[]) => {
      for (const n of gone) {
        present.delete(n);
        if (unread.delete(n)) lost++;
      }
    };
    // Whether the count must be exact: all losses are before the next unread entry, and the group has read nothing since.
    let exact = true;
    await bench.join();
    for (const { do: act, count } of [...commands, { do: "look" as const, count: 0 }]) {
      const all = [...present].sort((a, b) => a - b);
      if (act === "append") {
        const added = await bench.append(count);
        present = present.union(new Set(added));
        unread = unread.union(new Set(added));
      } else if (act === "read") {
        if (lost > 0) exact = false;
        for (const n of await bench.read(count)) unread.delete(n);
      } else if (act === "trim" || act === "force") {
        if (act === "trim") await bench.send("XTRIM", STREAM, "MAXLEN", `${count}`);
        else await bench.forceTrim(count);
        remove(all.slice(0, Math.max(0, all.length - count)));
      } else if (act === "delete" && all.length > 0) {
        exact = false;
        const n = all[count % all.length]!;
        await bench.send("XDEL", STREAM, `${n}-0`);
        remove([n]);
      } else if (act === "rewind" && all.length > 0) {
        exact = false;
        const n = all[count % all.length]!;
        await bench.run(REWIND, "", `${n - 1}-0`, `${n}-0`);
        unread = new Set(all.filter((other) => other >= n));
      } else if (act === "look") {
        const [from, to, reported] = (await bench.gap()).split(" ");
        if (from === "") {
          assert(!exact || lost === 0, `${lost} entries are lost, and nothing is reported`);
        } else {
          assert(lost > 0, `${from} to ${to} are reported, and nothing is lost`);
          if (reported !== "-") assertLessOrEqual(Number(reported), lost);
          if (exact) assertEquals(reported, `${lost}`);
        }
        lost = 0;
      }
    }
  });
  await fc.assert(property, { numRuns: 60, seed: Number(Deno.env.get("FAULTS_SEED") ?? 7) });
});
