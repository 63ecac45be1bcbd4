import { assertEquals } from "@std/assert";
import type { ClaimedRecord, EventStore, GroupMember, Outcome } from "../../src/store/mod.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
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
  const store = keys.over(new RedisStore(connection, keys.url.host));
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
