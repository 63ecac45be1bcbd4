// What APPEND_REVISED keeps on the server, and how READ_SUBJECT finds its way.

import { assert, assertEquals } from "@std/assert";
import type { Revised } from "../../../src/store/mod.ts";
import { marksKey, subjectsKey } from "../../../src/redis/_keys.ts";
import { openRedisStore } from "../../../src/redis/mod.ts";
import type { RedisStore } from "../../../src/redis/redis_store.ts";
import { RedisServer } from "../_server.ts";

const STREAM = "events:Auction";

let server: RedisServer;
Deno.test.beforeAll(async () => void (server = await RedisServer.start()));
Deno.test.afterAll(() => server[Symbol.asyncDispose]());

function test(name: string, run: (store: RedisStore) => Promise<void>): void {
  Deno.test(name, async () => {
    await server.cli("FLUSHALL");
    await using store = await openRedisStore(server.url) as RedisStore;
    await run(store);
  });
}

async function append(store: RedisStore, count: number, subject = "a", base = 0): Promise<Revised[]> {
  const revised: Revised[] = [];
  for (let left = count; left > 0; left -= 500) {
    const records = Array.from({ length: Math.min(left, 500) }, () => ({ fields: ["id", "1"], subject, base }));
    revised.push(...await store.appendRevised(STREAM, records));
  }
  return revised;
}

async function read(store: RedisStore, range?: Parameters<RedisStore["readSubject"]>[2]): Promise<number[]> {
  const pages = await Array.fromAsync(store.readSubject(STREAM, "a", range));
  return pages.flat().map(({ fields }) => Number(fields[3]));
}

const upTo = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, nth) => from + nth);

test("an entry has its revision and the position of the one before it", async (store) => {
  const [first, second] = await append(store, 2);
  assertEquals(
    await server.cli("XRANGE", STREAM, "-", "+"),
    [
      ...[first!.position, "id", "1", "revision", "1", "previous", ""],
      ...[second!.position, "id", "1", "revision", "2", "previous", first!.position],
    ].join("\n"),
  );
  assertEquals(await server.cli("HGETALL", subjectsKey(STREAM)), `a\n2 ${second!.position}`);
  assertEquals(await server.cli("EXISTS", marksKey(STREAM)), "0");
  const [third] = await append(store, 1, "a", 9);
  assertEquals(await server.cli("HGET", subjectsKey(STREAM), "a"), `10 ${third!.position} 3`);
});

test("every 128th entry of a subject has a mark, and trimming removes marks", async (store) => {
  const appended = await append(store, 1_000);
  assertEquals(await server.cli("HLEN", marksKey(STREAM)), "7");
  assertEquals(await server.cli("HGET", marksKey(STREAM), "a 2"), `256 ${appended[255]!.position}`);
  for (const n of upTo(1, 100)) await append(store, 300, `b ${n}`);
  assertEquals(await server.cli("HLEN", marksKey(STREAM)), "207");
  // The sample of one trim is random: most superfluous marks are gone after a few.
  await store.admin(STREAM).trim({ maxLength: 100 });
  for (let n = 0; n < 50; n++) {
    await append(store, 100, "c");
    await store.admin(STREAM).trim({ maxLength: 100 });
  }
  assert(Number(await server.cli("HLEN", marksKey(STREAM))) < 60);
  assertEquals((await append(store, 1))[0]!.revision, 1_001);
  assertEquals(await read(store), [1_001]);
});

test("a deleted entry hides only those before it, down to the next mark", async (store) => {
  const appended = await append(store, 400);
  await server.cli("XDEL", STREAM, appended[199]!.position);
  assertEquals(await read(store), [...upTo(1, 128), ...upTo(201, 400)]);
  assertEquals(await read(store, { reverse: true }), [...upTo(1, 128), ...upTo(201, 400)].reverse());
  await server.cli("XDEL", STREAM, appended[255]!.position);
  assertEquals(await read(store, { fromRevision: 100 }), [...upTo(100, 128), ...upTo(257, 400)]);
  assertEquals(await read(store, { toRevision: 256, reverse: true }), upTo(1, 128).reverse());
  await server.cli("XDEL", STREAM, appended[127]!.position);
  assertEquals(await read(store), upTo(257, 400));
  assertEquals(await read(store, { reverse: true }), upTo(257, 400).reverse());
});

test("a subject goes on when its stream was deleted", async (store) => {
  await append(store, 300);
  await server.cli("DEL", STREAM);
  assertEquals(await read(store), []);
  const [next] = await append(store, 1);
  assertEquals([next!.revision, await read(store)], [301, [301]]);
});

test("marks are found although the numbering went on from bases", async (store) => {
  await append(store, 200);
  await append(store, 200, "a", 10_000);
  await append(store, 1, "a", 1e15);
  await append(store, 200, "a", 1e15);
  const expected = [...upTo(1, 200), ...upTo(10_001, 10_200), ...upTo(1e15 + 1, 1e15 + 201)];
  assertEquals(await read(store), expected);
  assertEquals(await read(store, { reverse: true }), expected.toReversed());
  assertEquals(await read(store, { fromRevision: 150, toRevision: 10_100 }), expected.slice(149, 300));
  assertEquals(await read(store, { fromRevision: 5_000, limit: 1 }), [10_001]);
  assertEquals(await read(store, { toRevision: 5_000, limit: 1, reverse: true }), [200]);
  assertEquals(await store.revision(STREAM, "a"), 1e15 + 201);
});
