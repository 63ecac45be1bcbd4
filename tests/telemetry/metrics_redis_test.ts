import { assertEquals, assertGreaterOrEqual } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { Gate, until } from "../../src/testing/_broker_bench.ts";
import { openBroker, openStore } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";
import { checkWithPromtool, measure } from "./_scrape.ts";

class Paid extends defineEvent("Paid")<{ n: number }> {}
const events = [Paid];
const STREAM = "events:Paid";
const paid = (count: number) => Array.from({ length: count }, (_, n) => new Paid({ n }));
const mails = { type: "Paid", group: "mails" };

Deno.test("instrument() shows whether the lag of a group is exact", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events });
  await using metrics = measure(broker);
  for (let at = 0; at < 3; at++) await broker.publish(paid(500));
  await (await broker.subscribe(Paid, () => {}, { group: "mails", startFrom: "now" })).close();
  const lag = async () => {
    const scrape = await metrics.scrape();
    return [scrape.value("tidings_group_lag", mails)!, scrape.value("tidings_group_lag_exact", mails)!] as const;
  };
  assertEquals(await lag(), [0, 1]);
  // Set by hand in the middle, the group's lag is unknown to the server, and too many entries to count are unread.
  const range = await server.cli("XRANGE", STREAM, "-", "+", "COUNT", "100");
  await server.cli("XGROUP", "SETID", STREAM, "mails", range.match(/^\d+-\d+$/gm)!.at(-1)!);
  const [least, exact] = await lag();
  assertEquals(exact, 0);
  assertGreaterOrEqual(least, 1_000);
});

Deno.test("instrument() shows that the store is down, and no state of its streams, until it is back", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events });
  await using metrics = measure(broker);
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  await broker.publish(paid(2));
  await until(async () => (await metrics.scrape()).value("tidings_events_handled_total", mails) === 2, "all is told");
  assertEquals((await metrics.scrape()).value("tidings_store_up"), 1);

  await server.kill();
  await until(async () => (await metrics.scrape()).value("tidings_store_up") === 0, "the store is down");
  await until(async () => (await metrics.scrape()).value("tidings_store_reconnects_total")! > 0, "a reconnect is told");
  const down = await metrics.scrape();
  assertEquals(down.value("tidings_broker_ready"), 0);
  assertEquals(down.value("tidings_group_lag", mails), undefined);
  assertEquals(down.value("tidings_events_handled_total", mails), 2);
  await checkWithPromtool(down);

  await server.restart();
  await until(async () => (await metrics.scrape()).value("tidings_broker_ready") === 1, "all is well again");
  await until(async () => (await metrics.scrape()).value("tidings_group_lag", mails) === 0, "the lag is known again");
});

Deno.test("instrument() counts what is recovered and what is lost", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events });
  await using metrics = measure(broker);
  const becomes = (name: string, value: number) =>
    until(async () => (await metrics.scrape()).value(name, mails) === value, `${name} is ${value}`);
  await broker.publish(paid(2));
  {
    await using store = await openStore(server.url);
    const dying = await store.member(STREAM, "mails", { consumer: "dying", lease: 100, startFrom: "beginning" });
    assertEquals((await dying.claim({ limit: 2, signal: AbortSignal.timeout(5_000) })).records.length, 2);
  }
  const gate = new Gate();
  const subscription = await broker.subscribe(Paid, async ({ detail: { n } }) => {
    if (n === 2) await gate.opened;
  }, { group: "mails", concurrency: 2, lease: 300 });
  await becomes("tidings_events_recovered_total", 2);
  await becomes("tidings_events_handled_total", 2);

  // A rewind takes away the delivery that a handler works on.
  const event = new Paid({ n: 2 });
  await broker.publish(event);
  await until(() => subscription.info().types[0]!.running === 1, "a handler runs");
  await broker.rewind(Paid, { group: "mails", to: event.position! });
  await becomes("tidings_leases_lost_total", 1);
  gate.open();
  await becomes("tidings_events_handled_total", 3);
  const durations = "messaging_process_duration_seconds_count";
  assertEquals((await metrics.scrape()).value(durations, { ...mails, tidings_delivery_outcome: "lost" }), 1);

  await server.cli("XGROUP", "DESTROY", STREAM, "mails");
  await becomes("tidings_groups_lost_total", 1);

  // Another program removes entries that the group has not read.
  await subscription.close();
  await broker.publish(paid(3));
  await server.cli("XTRIM", STREAM, "MAXLEN", "1");
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  await until(async () => (await metrics.scrape()).value("tidings_events_lost_total", mails)! > 0, "losses are told");
  await checkWithPromtool(await metrics.scrape());
});
