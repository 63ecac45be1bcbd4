import { assert, assertEquals, assertLess } from "@std/assert";
import { defineEvent } from "@tidings/broker";
import { sleep, told, until } from "../../src/testing/_broker_bench.ts";
import { openBroker } from "./_bench.ts";
import { commands } from "./_cost.ts";
import { Proxy } from "./_proxy.ts";
import { RedisServer } from "./_server.ts";

class First extends defineEvent("First")<{ n: number }> {}

Deno.test("idle subscriptions cost the server next to nothing", async () => {
  await Promise.all([1, 20].map(async (count) => {
    await using server = await RedisServer.start();
    const classes = Array.from({ length: count }, (_, n) => class extends defineEvent(`Idle${n}`)<{ n: number }> {});
    await using broker = await openBroker(server.url, { events: classes });
    for (const event of classes) await broker.subscribe(event, () => {}, { group: "group" });
    await sleep(500);
    const before = await commands(server);
    await sleep(5_000);
    const after = await commands(server);
    const sent = (after.sent - before.sent) / 5;
    const ran = (after.ran - before.ran) / 5;
    // A look at each stream about every five seconds, a renewal about every ten, and one blocking read for all.
    assertLess(sent, 1 + 0.5 * count, `${sent} commands a second with ${count}`);
    assertLess(ran, 2 + 5 * count, `${ran} commands a second, those of scripts included, with ${count}`);
  }));
});

Deno.test("a blocked read whose connection has died without a word is made anew, and loses nothing", async () => {
  await using server = await RedisServer.start();
  await using proxy = new Proxy(server.port);
  await using broker = await openBroker(proxy.url, { events: [First] });
  await using publisher = await openBroker(server.url, { events: [First] });
  const handled: number[] = [];
  const heard: number[] = [];
  broker.addEventListener("First", (event) => void heard.push(event.detail.n));
  const subscription = await broker.subscribe(First, (event) => void handled.push(event.detail.n), { group: "group" });
  const reconnects = told(subscription, "reconnect");
  await publisher.publish(new First({ n: 0 }));
  await until(() => handled.length === 1 && heard.length === 1, "the first has come");
  // From the next read on everything of these connections is lost, and nobody says so.
  proxy.inject({ fault: "swallow", request: /XREADGROUP[^]*BLOCK/ });
  proxy.inject({ fault: "swallow", request: /XREAD\r/ });
  await publisher.publish(new First({ n: 1 }));
  await until(() => proxy.faults === 2, "the connections are lost");
  await publisher.publish(new First({ n: 2 }));
  await until(() => handled.length >= 3 && heard.length >= 3, "all have come", 20_000);
  assertEquals([handled, heard], [[0, 1, 2], [0, 1, 2]]);
  assert(reconnects.length > 0, "it is told");
});
