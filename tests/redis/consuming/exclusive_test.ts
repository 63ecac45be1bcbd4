// Guarantee 39: an exclusive consumer on Redis, where a dead one may still read, and where replies are lost.

import { assertEquals, assertRejects } from "@std/assert";
import { CLAIM_EXCLUSIVE } from "../../../src/redis/scripts/consuming/claim_exclusive.ts";
import type { ClaimedRecord, EventStore, GroupMember, Outcome } from "../../../src/store/mod.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { sleep, until } from "../../../src/testing/_broker_bench.ts";
import { openConnection, openStore } from "../_bench.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";

const STREAM = "events:Counted";
const GROUP = "group";

const append = (store: EventStore, ...ids: string[]) => store.append(STREAM, ids.map((id) => ["id", id]));
const join = (store: EventStore, consumer: string, lease = 30_000, exclusive = true) =>
  store.member(STREAM, GROUP, { consumer, lease, startFrom: "beginning", exclusive });
const claim = (member: GroupMember, limit = 10) => member.claim({ limit, signal: AbortSignal.timeout(5_000) });
const idsOf = (records: readonly ClaimedRecord[]) => records.map(({ fields }) => fields[1]);
const ack = (records: readonly ClaimedRecord[]): Outcome[] =>
  records.map(({ position, fence }) => ({ kind: "ack", position, fence }));

async function digestOf(source: string): Promise<RegExp> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(source)));
  return new RegExp(Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(""));
}

Deno.test("claim() returns what a dead consumer reads late before later entries, and refuses its settles", async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const connection = await openConnection(server.url);
  try {
    // Not exclusive: it may have read before the heir joined.
    const dead = await join(store, "dead", 150, false);
    await sleep(200);
    const heir = await join(store, "heir");
    const positions = await append(store, "a", "b", "c");
    const late = ["XREADGROUP", "GROUP", GROUP, dead.consumer, "COUNT", "2", "STREAMS", STREAM, ">"];
    await connection.send(late);
    const [first] = (await claim(heir, 1)).records;
    assertEquals(idsOf([first!]), ["a"]);
    const rest = (await claim(heir)).records;
    assertEquals(idsOf(rest), ["b"]);
    const last = (await claim(heir)).records;
    assertEquals(idsOf(last), ["c"]);
    const mine: Outcome[] = positions.map((position) => ({ kind: "ack", position, fence: "0:0:1:0" }));
    assertEquals(await dead.settle(mine), positions);
    // It reads once more, and the entry is its own for the server.
    const position = (await append(store, "d"))[0]!;
    await connection.send(late);
    for (const fence of ["1000000:0:1:0", "1000000:0:1:1"]) {
      assertEquals(await dead.settle([{ kind: "ack", position, fence }]), [position]);
    }
    assertEquals(idsOf((await claim(heir)).records), ["d"]);
    assertEquals(await heir.settle(ack([first!, ...rest, ...last])), []);
    await heir.leave();
  } finally {
    connection.close();
  }
});

for (const reply of ["look", "read"]) {
  Deno.test(`claim() keeps the order of an exclusive consumer when the reply of a ${reply} was lost`, async () => {
    await using server = await RedisServer.start();
    await using proxy = new Proxy(server.port);
    await using there = await openStore(server.url);
    await using here = await openStore(proxy.url);
    const member = await join(here, "one");
    await append(there, "a", "b", "c");
    const ids: (string | undefined)[] = [];
    const settle = async (records: readonly ClaimedRecord[]) => {
      ids.push(...idsOf(records));
      if (records.length > 0) assertEquals(await member.settle(ack(records)), []);
    };
    if (reply === "read") {
      const [first] = (await claim(member, 1)).records;
      const error = { name: "Error", message: "no" };
      await member.settle([{ kind: "dead", ...first!, reason: "permanent", attempts: 1, error }]);
    }
    const lost = reply === "look" ? await digestOf(CLAIM_EXCLUSIVE.source) : /XREADGROUP/;
    proxy.inject({ fault: "reply", request: lost });
    await assertRejects(() => claim(member, 2), StoreError);
    assertEquals(proxy.faults, 1);
    // What the read took is not known, and comes after what returns now.
    if (reply === "read") await there.admin(STREAM).deadLetters(GROUP).redrive();
    await append(there, "d");
    await until(async () => {
      await settle((await claim(member, 2).catch(() => ({ records: [] }))).records);
      return ids.length >= 4;
    }, "all entries have come");
    assertEquals(ids, ["a", "b", "c", "d"]);
    await member.leave();
  });
}

Deno.test("claim() of an exclusive consumer goes on after FLUSHALL, and another one is still refused", async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  const member = await join(store, "one");
  await append(store, "a");
  assertEquals(idsOf((await claim(member)).records), ["a"]);
  await server.cli("FLUSHALL");
  const healed = await claim(member);
  assertEquals(healed.healed?.from, undefined);
  await append(store, "b");
  assertEquals(idsOf((await claim(member)).records), ["b"]);
  const error = await assertRejects(() => join(store, "two"), StoreError);
  assertEquals([error.kind, error.holder], ["occupied", member.consumer]);
  await member.leave();
});

Deno.test("claim() of an exclusive consumer is woken by a redrive, a rewind and an append", async () => {
  await using server = await RedisServer.start();
  await using store = await openStore(server.url);
  await using other = await openStore(server.url);
  const member = await join(store, "one");
  const waiting = async (act: () => Promise<unknown>) => {
    const claiming = claim(member);
    await until(async () => /cmd=xread /.test(await server.cli("CLIENT", "LIST")), "a read blocks");
    await act();
    return idsOf((await claiming).records);
  };
  assertEquals(await waiting(() => append(other, "a")), ["a"]);
  assertEquals(await waiting(() => other.admin(STREAM).rewind(GROUP, "beginning")), ["a"]);
  const [{ position, fence }] = (await (async () => {
    await append(other, "b");
    return await claim(member);
  })()).records as [ClaimedRecord];
  const error = { name: "Error", message: "no" };
  await member.settle([{ kind: "dead", position, fence, reason: "permanent", attempts: 1, error }]);
  assertEquals(await waiting(() => other.admin(STREAM).deadLetters(GROUP).redrive()), ["b"]);
  await member.leave();
});
