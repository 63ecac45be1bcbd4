import { assertEquals, assertLess } from "@std/assert";
import type { ClaimedRecord, EventStore, GroupMember, Outcome } from "../../src/store/mod.ts";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { sleep, until } from "../../src/testing/_broker_bench.ts";
import { openConnection, openStore, SharedServer, withHook } from "./_bench.ts";

const server = new SharedServer();
const STREAM = "races";
const entries = (count: number) => Array.from({ length: count }, (_, n) => ["id", `${n}`, "payload", "{}"]);
const join = (store: EventStore, consumer: string, lease = 60_000) =>
  store.member(STREAM, "group", { consumer, lease, startFrom: "beginning" });
const ack = (records: readonly ClaimedRecord[]): Outcome[] =>
  records.map(({ position, fence }) => ({ kind: "ack", position, fence }));

async function drain(member: GroupMember, timeout: number): Promise<string[]> {
  const got: string[] = [];
  for (const end = AbortSignal.timeout(timeout); !end.aborted;) {
    const { records, disturbed } = await member.claim({ limit: 10, signal: end });
    // As the engine does: what was lost is learnt by renewing.
    if (disturbed) await member.renew([]);
    const refused = records.length === 0 ? [] : await member.settle(ack(records));
    got.push(...records.map(({ position }) => position).filter((position) => !refused.includes(position)));
  }
  return got;
}

Deno.test("rewind() loses nothing when it comes between a consumer's look and its read", async () => {
  await using keys = server.keys();
  const other = keys.over(await openStore(keys.url));
  let reads = 0;
  const connection = withHook(await openConnection(keys.url), async ([name]) => {
    if (name === "XREADGROUP" && ++reads === 1) await other.admin(STREAM).rewind("group", "beginning");
  });
  const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
  try {
    const positions = await other.append(STREAM, entries(5));
    const member = await join(store, "one");
    assertEquals((await drain(member, 2_500)).sort(), [...positions].sort());
    await member.leave();
  } finally {
    await store[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  }
});

for (const moment of ["look and read", "announcing and waiting", "waiting and its question"]) {
  Deno.test(`claim() is not left waiting by what another hands back and forgets between its ${moment}`, async () => {
    await using keys = server.keys();
    const other = keys.over(await openStore(keys.url));
    const holder = await (async () => {
      await other.append(STREAM, entries(1));
      const member = await join(other, "holder");
      assertEquals((await member.claim({ limit: 1, signal: AbortSignal.timeout(5_000) })).records.length, 1);
      return member;
    })();
    const underWay: Promise<unknown>[] = [];
    const handBack = async () => {
      // All at once, as by a process that ends: nobody is there any more to say it again.
      await holder.leave();
      await other[Symbol.asyncDispose]();
    };
    const connection = withHook(await openConnection(keys.url), async (command) => {
      const [name, what] = command;
      const blocks = command.includes("BLOCK");
      const moments: Record<string, boolean> = {
        "look and read": name === "XREADGROUP" && !blocks,
        "announcing and waiting": name === "XREADGROUP" && blocks,
        // Its third question: the first comes with the read at once, the second before it waits.
        "waiting and its question": name === "HMGET" && what !== undefined && ++questions === 3,
      };
      if (!moments[moment] || underWay.length > 0) return;
      // A read that is late goes out while it is still being told.
      underWay.push(handBack(), sleep(20));
      await underWay[blocks ? 1 : 0];
    });
    let questions = 0;
    const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
    try {
      const member = await join(store, "one");
      const began = performance.now();
      const { records } = await member.claim({ limit: 1, signal: AbortSignal.timeout(5_000) });
      assertEquals([records.length, underWay.length], [1, 2]);
      // Far less than a quarter of its lease, after which it looks by itself.
      assertLess(performance.now() - began, 4_000);
      await member.settle(ack(records));
      await member.leave();
    } finally {
      await Promise.all(underWay);
      await store[Symbol.asyncDispose]();
    }
  });
}

const LEASE = 100;

for (const happening of ["its consumer is given up", "the group is rewound"]) {
  Deno.test(`claim() does not give what was read before ${happening} and another took it`, async () => {
    await using keys = server.keys();
    const other = keys.over(await openStore(keys.url));
    const [position] = await other.append(STREAM, entries(1));
    const rival = await join(other, "rival");
    const taken = Promise.withResolvers<ClaimedRecord>();
    let reads = 0;
    const connection = withHook(await openConnection(keys.url), async ([name]) => {
      if (name === "XREADGROUP") reads++;
      // The question that goes along with the first read.
      if (name !== "HMGET" || reads !== 1) return;
      reads++;
      await until(async () => (await other.admin(STREAM).info()).groups[0]!.pending === 1, "it is read");
      if (happening === "its consumer is given up") await sleep(2 * LEASE);
      else await other.admin(STREAM).rewind("group", "beginning");
      const { records } = await rival.claim({ limit: 1, signal: AbortSignal.timeout(5_000) });
      taken.resolve(records[0]!);
      await late.renew([]);
    });
    const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
    const late = await join(store, "late", LEASE);
    try {
      assertEquals((await late.claim({ limit: 1, signal: AbortSignal.timeout(1_500) })).records, []);
      const delivery = await taken.promise;
      assertEquals(delivery.position, position);
      assertEquals(await rival.settle(ack([delivery])), []);
    } finally {
      for (const member of [late, rival]) await member.leave();
      for (const opened of [store, other]) await opened[Symbol.asyncDispose]();
    }
  });
}
