import { assert, assertEquals, assertLess } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { sleep, told, until } from "../../../src/testing/_broker_bench.ts";
import { openBroker } from "../_bench.ts";
import { commands } from "./_cost.ts";
import { openHurriedBroker } from "../_hurried.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";

class First extends defineEvent("First")<{ n: number }> {}

// tests/faults/recovery_idle_long_test.ts measures for longer.
const SECONDS = 3;

Deno.test("subscribe() sends hardly any commands when it is idle", async () => {
  await Promise.all([1, 20].map(async (count) => {
    await using server = await RedisServer.start();
    const classes = Array.from({ length: count }, (_, n) => class extends defineEvent(`Idle${n}`)<{ n: number }> {});
    await using broker = await openBroker(server.url, { events: classes });
    for (const event of classes) await broker.subscribe(event, () => {}, { group: "group" });
    await until(async () => await server.blockedClients() === 1, "the group waits");
    const before = await commands(server);
    await sleep(SECONDS * 1_000);
    const after = await commands(server);
    const [sent, ran] = [(after.sent - before.sent) / SECONDS, (after.ran - before.ran) / SECONDS];
    // One claim script for each stream about every five seconds, a renewal about every ten, one blocking read for all, and
    // about once a second a script that asks when the next scheduled event of the stream is due.
    assertLess(sent, 1 + 1.9 * count, `${sent} commands a second with ${count}`);
    assertLess(ran, 2 + 11 * count, `${ran} commands a second, those of scripts included, with ${count}`);
  }));
});

Deno.test("subscribe() and listeners lose nothing when the connection of a blocked read dies silently", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  // Blocked reads time out after 2.5 s instead of 9 s; tests/faults/silence_long_test.ts uses the default.
  await using broker = await openHurriedBroker(proxy.url, { events: [First] }, { times: 4 });
  await using publisher = await openBroker(server.url, { events: [First] });
  const handled: number[] = [];
  const heard: number[] = [];
  broker.addEventListener("First", (event) => void heard.push(event.detail.n));
  const subscription = await broker.subscribe(First, (event) => void handled.push(event.detail.n), { group: "group" });
  const reconnects = told(subscription, "reconnect");
  await publisher.publish(new First({ n: 0 }));
  await until(() => handled.length === 1 && heard.length === 1, "the first event is handled and heard");
  // From the next read on, these connections swallow all bytes and stay open.
  proxy.inject({ fault: "swallow", request: /XREADGROUP[^]*BLOCK/ });
  proxy.inject({ fault: "swallow", request: /XREAD\r/ });
  await publisher.publish(new First({ n: 1 }));
  await until(() => proxy.faults === 2, "both connections swallow");
  await publisher.publish(new First({ n: 2 }));
  await until(() => handled.length >= 3 && heard.length >= 3, "all events are handled and heard", 20_000);
  assertEquals([handled, heard], [[0, 1, 2], [0, 1, 2]]);
  assert(reconnects.length > 0, "the subscription reports it");
});
