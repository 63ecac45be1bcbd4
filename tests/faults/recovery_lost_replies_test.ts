// Guarantees 2, 17, 22: entries of a claim whose reply was lost come again, with their attempts.

import { assertEquals, assertRejects } from "@std/assert";
import { groupKeys } from "../../src/redis/_keys.ts";
import { CLAIM } from "../../src/redis/scripts/consuming/claim.ts";
import type { ClaimedRecord, GroupMember } from "../../src/store/mod.ts";
import { until } from "../../src/testing/_broker_bench.ts";
import { openStore } from "../redis/_bench.ts";
import { Proxy } from "../redis/_proxy.ts";
import { RedisServer } from "../redis/_server.ts";

const STREAM = "events:Counted";
const GROUP = "group";

async function digestOf(source: string): Promise<string> {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-1", new TextEncoder().encode(source)));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const claim = (member: GroupMember) => member.claim({ limit: 10, signal: AbortSignal.timeout(3_000) });

/** A due retry is claimed, and the reply is lost; so is the reading connection with `reading`. */
async function lose(reading: boolean): Promise<void> {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  await using there = await openStore(server.url);
  await using here = await openStore(proxy.url);
  const [position] = await there.append(STREAM, [["id", "a", "payload", "{}"]]);
  const options = { lease: 30_000, startFrom: "beginning" } as const;
  const one = await there.member(STREAM, GROUP, { consumer: "one", ...options });
  const { records: [first] } = await claim(one);
  assertEquals(
    await one.settle([{ kind: "retry", position: position!, fence: first!.fence, attempt: 1, delay: 0 }]),
    [],
  );

  const other = await here.member(STREAM, GROUP, { consumer: "other", ...options });
  proxy.inject({ fault: "reply", request: new RegExp(await digestOf(CLAIM.source)) });
  await assertRejects(() => claim(other));
  assertEquals(proxy.faults, 1);
  let records: readonly ClaimedRecord[] = [];
  const found = until(async () => {
    ({ records } = await claim(other).catch(() => ({ records: [] })));
    return records.length > 0;
  }, "a later claim returns the retry");
  if (reading) {
    await until(() => proxy.open === 2, "the member waits for new entries");
    proxy.cut();
  }
  await found;
  assertEquals(records.map(({ position, attempt }) => [position, attempt]), [[position, 2]]);
  assertEquals(await other.settle([{ kind: "ack", position: position!, fence: records[0]!.fence }]), []);
  assertEquals(await server.cli("EXISTS", groupKeys(STREAM, GROUP).work), "0");
  await one.leave();
  await other.leave();
}

Deno.test("claim() returns a retry when the reply of an earlier claim that took it was lost", () => lose(false));

Deno.test("claim() returns a retry with its attempts when its reply and the reading connection were lost", () =>
  lose(true));

Deno.test("claim() returns a read entry when the reply was lost, however long the server is unreachable", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  await using there = await openStore(server.url);
  await using here = await openStore(proxy.url);
  const [position] = await there.append(STREAM, [["id", "a", "payload", "{}"]]);
  const member = await here.member(STREAM, GROUP, { consumer: "one", lease: 30_000, startFrom: "beginning" });
  proxy.inject({ fault: "reply", request: /XREADGROUP/ });
  await assertRejects(() => claim(member));
  assertEquals(proxy.faults, 1);
  proxy.refuse = true;
  await assertRejects(() => claim(member));
  // Long after the server may still have carried out the lost read.
  const { now } = performance;
  performance.now = () => now.call(performance) + 60_000;
  try {
    proxy.refuse = false;
    const { records } = await claim(member);
    assertEquals(records.map(({ position, attempt }) => [position, attempt]), [[position, 1]]);
    assertEquals(await member.settle([{ kind: "ack", position: position!, fence: records[0]!.fence }]), []);
  } finally {
    performance.now = now;
  }
  await member.leave();
});
