import { assert, assertEquals, assertLess } from "@std/assert";
import type { ClaimedRecord, EventStore, GroupMember, Outcome } from "../../../src/store/mod.ts";
import { SingleServer } from "../../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../../src/redis/redis_store.ts";
import { sleep, until } from "../../../src/testing/_broker_bench.ts";
import { openConnection, openStore, SharedServer, withHook } from "../_bench.ts";

const server = new SharedServer();
const STREAM = "races";
const entries = (count: number) => Array.from({ length: count }, (_, n) => ["id", `${n}`, "payload", "{}"]);
const join = (store: EventStore, consumer: string, lease = 60_000) =>
  store.member(STREAM, "group", { consumer, lease, startFrom: "beginning" });
const ack = (records: readonly ClaimedRecord[]): Outcome[] =>
  records.map(({ position, fence }) => ({ kind: "ack", position, fence }));

/** Claims and settles until it has settled `count` entries; returns their positions. */
async function settleAll(member: GroupMember, count: number): Promise<string[]> {
  const got: string[] = [];
  for (const end = AbortSignal.timeout(10_000); got.length < count && !end.aborted;) {
    const { records, disturbed } = await member.claim({ limit: 10, signal: end });
    // As the engine does: renewing tells which deliveries were lost.
    if (disturbed) await member.renew([]);
    const refused = records.length === 0 ? [] : await member.settle(ack(records));
    got.push(...records.map(({ position }) => position).filter((position) => !refused.includes(position)));
  }
  return got;
}

Deno.test("rewind() loses nothing when it comes between a consumer's claim script and its read", async () => {
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
    assertEquals((await settleAll(member, 5)).sort(), [...positions].sort());
    const [group] = (await other.admin(STREAM).info()).groups;
    assertEquals([group!.pending, group!.lag], [0, 0], "no entry is left to repeat");
    await member.leave();
  } finally {
    await store[Symbol.asyncDispose]();
    await other[Symbol.asyncDispose]();
  }
});

for (const moment of ["claim script and read", "announcement and blocking read", "blocking read and query"]) {
  Deno.test(`claim() gets an entry at once when another consumer leaves between its ${moment}`, async () => {
    await using keys = server.keys();
    const other = keys.over(await openStore(keys.url));
    const holder = await (async () => {
      await other.append(STREAM, entries(1));
      const member = await join(other, "holder");
      assertEquals((await member.claim({ limit: 1, signal: AbortSignal.timeout(5_000) })).records.length, 1);
      return member;
    })();
    const inFlight: Promise<unknown>[] = [];
    const leave = async () => {
      // As a process does that ends: it wakes other consumers only once.
      await holder.leave();
      await other[Symbol.asyncDispose]();
    };
    const connection = withHook(await openConnection(keys.url), async (command) => {
      const [name, key] = command;
      const blocks = command.includes("BLOCK");
      const moments: Record<string, boolean> = {
        "claim script and read": name === "XREADGROUP" && !blocks,
        "announcement and blocking read": name === "XREADGROUP" && blocks,
        // Its third HMGET: the first is sent with the read at once, the second one before the blocking read.
        "blocking read and query": name === "HMGET" && key !== undefined && ++queries === 3,
      };
      if (!moments[moment] || inFlight.length > 0) return;
      // A blocking read is sent while the other consumer is still leaving, or just after.
      inFlight.push(leave(), sleep(20));
      await inFlight[blocks ? 1 : 0];
    });
    let queries = 0;
    const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
    try {
      const member = await join(store, "one");
      const began = performance.now();
      const { records } = await member.claim({ limit: 1, signal: AbortSignal.timeout(5_000) });
      assertEquals([records.length, inFlight.length], [1, 2]);
      // Far less than a quarter of its lease, after which it would run the claim script by itself.
      assertLess(performance.now() - began, 4_000);
      await member.settle(ack(records));
      await member.leave();
    } finally {
      await Promise.all(inFlight);
      await store[Symbol.asyncDispose]();
    }
  });
}

const LEASE = 100;

for (const event of ["its lease expires", "the group is rewound"]) {
  Deno.test(`claim() returns no entry that it read when ${event} and another consumer took the entry`, async () => {
    await using keys = server.keys();
    const other = keys.over(await openStore(keys.url));
    const [position] = await other.append(STREAM, entries(1));
    const rival = await join(other, "rival");
    const taken = Promise.withResolvers<ClaimedRecord>();
    const expired = async () => {
      const [group] = (await other.admin(STREAM).info()).groups;
      return group!.consumers.some(({ name, alive }) => name === late.consumer && !alive);
    };
    const waits = new AbortController();
    let reads = 0;
    let isTaken = false;
    const connection = withHook(await openConnection(keys.url), async (command) => {
      const [name] = command;
      // It has dropped the entry, and waits for another one.
      if (name === "XREADGROUP" && isTaken && command.includes("BLOCK")) waits.abort();
      if (name === "XREADGROUP") reads++;
      // The query that is sent with the first read.
      if (name !== "HMGET" || reads !== 1) return;
      reads++;
      await until(async () => (await other.admin(STREAM).info()).groups[0]!.pending === 1, "the entry is read");
      if (event === "its lease expires") await until(expired, "the lease has expired");
      else await other.admin(STREAM).rewind("group", "beginning");
      const { records } = await rival.claim({ limit: 1, signal: AbortSignal.timeout(5_000) });
      taken.resolve(records[0]!);
      isTaken = true;
      await late.renew([]);
    });
    const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
    const late = await join(store, "late", LEASE);
    try {
      const signal = AbortSignal.any([waits.signal, AbortSignal.timeout(10_000)]);
      const { records, disturbed } = await late.claim({ limit: 1, signal });
      assertEquals(records, []);
      assert(disturbed || waits.signal.aborted, "it ends by itself, or waits for another entry");
      const delivery = await taken.promise;
      assertEquals(delivery.position, position);
      assertEquals(await rival.settle(ack([delivery])), []);
    } finally {
      for (const member of [late, rival]) await member.leave();
      for (const opened of [store, other]) await opened[Symbol.asyncDispose]();
    }
  });
}

for (const moment of ["before its read has reached the server", "while its read is blocked"]) {
  Deno.test(`leave() leaves no consumer behind when it is called ${moment}`, async () => {
    await using keys = server.keys();
    const other = keys.over(await openStore(keys.url));
    const [reading, left] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const connection = withHook(await openConnection(keys.url), async (command) => {
      if (!command.includes("BLOCK")) return;
      reading.resolve();
      if (moment === "while its read is blocked") return;
      // Later than the consumer has left, and than the next entry: if leaving waits for the read, long enough.
      await Promise.race([left.promise, new Promise((resolve) => timer ??= setTimeout(resolve, 200))]);
    });
    const store = keys.over(new RedisStore(new SingleServer(connection, keys.url.host)));
    try {
      const member = await join(store, "one");
      // Another stream of the same consumer, so that the connection of its reads stays open.
      const options = { consumer: "one", lease: 60_000, startFrom: "beginning" } as const;
      const elsewhere = await store.member(`${STREAM}2`, "group", options);
      const claims = [member, elsewhere].map((one) => one.claim({ limit: 1, signal: AbortSignal.timeout(5_000) }));
      await reading.promise;
      assertEquals(await member.leave(), true);
      const [position] = await other.append(STREAM, entries(1));
      left.resolve();
      // Its reads have ended once it has left the other stream too.
      await elsewhere.leave();
      await Promise.all(claims);
      const rival = await join(other, "two");
      const [group] = (await other.admin(STREAM).info()).groups;
      assertEquals(group!.consumers.map(({ name, pending }) => [name, pending]), [[rival.consumer, 0]]);
      const { records } = await rival.claim({ limit: 1, signal: AbortSignal.timeout(5_000) });
      assertEquals(records.map(({ position }) => position), [position]);
      await rival.leave();
    } finally {
      clearTimeout(timer);
      await store[Symbol.asyncDispose]();
      await other[Symbol.asyncDispose]();
    }
  });
}
