// The endpoints of examples/observed/health.ts, over HTTP, with a broker on a real Redis.

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connect } from "@tidings/broker";
import { type AuctionBroker, AuctionEnded, events } from "../../examples/auction/events.ts";
import { livez, readyz } from "../../examples/observed/health.ts";
import { until } from "../../src/testing/_broker_bench.ts";
import { RedisServer } from "../redis/_server.ts";

/** How long a handler may take until its group counts as stalled, in milliseconds. */
const STALLED_AFTER = 50;

/** Serves the endpoints of a broker. */
class Served implements AsyncDisposable {
  #server: Deno.HttpServer<Deno.NetAddr>;

  constructor(broker: AuctionBroker) {
    this.#server = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, async ({ url }) => {
      return url.endsWith("/livez") ? await livez(broker) : await readyz(broker, { stalledAfter: STALLED_AFTER });
    });
  }

  async ask(path: "livez" | "readyz"): Promise<{ status: number; text: string }> {
    const response = await fetch(`http://127.0.0.1:${this.#server.addr.port}/${path}`);
    return { status: response.status, text: await response.text() };
  }

  /** Waits until the process is ready or not. @returns The problems. */
  async becomes(status: 200 | 503): Promise<string> {
    await until(async () => (await this.ask("readyz")).status === status, `/readyz answers with ${status}`);
    const { status: now, text } = await this.ask("readyz");
    assertEquals(now, status);
    return text;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server.shutdown();
  }
}

const LIVE = { status: 200, text: "live\n" };
const ended = () => new AuctionEnded({ auctionId: "vase", winningBidderId: "ada", winningPrice: 1 });

Deno.test("/readyz is 503 with the reason while Redis is away, and /livez stays 200", async () => {
  await using server = await RedisServer.start();
  await using broker: AuctionBroker = await connect(server.url, { events });
  await using served = new Served(broker);
  await broker.subscribe(AuctionEnded, () => {}, { group: "payment" });
  assertEquals(await served.ask("readyz"), { status: 200, text: "ready\n" });
  assertEquals(await served.ask("livez"), LIVE);

  await server.kill();
  assertMatch(await served.becomes(503), /^The store cannot be reached since \S+: [^]+\n$/);
  assertEquals(await served.ask("livez"), LIVE);
  await server.restart();
  assertEquals(await served.becomes(200), "ready\n");

  await server.cli("CONFIG", "SET", "maxmemory", "1");
  assertStringIncludes(await served.becomes(503), "The store takes no events since");
  assertEquals(await served.ask("livez"), LIVE);
  await server.cli("CONFIG", "SET", "maxmemory", "0");
  await served.becomes(200);
});

Deno.test("/readyz is 503 with the group while a handler hangs, and /livez stays 200", async () => {
  await using server = await RedisServer.start();
  await using broker: AuctionBroker = await connect(server.url, { events });
  await using served = new Served(broker);
  const released = Promise.withResolvers<void>();
  await broker.subscribe(AuctionEnded, () => released.promise, { group: "payment" });
  await broker.publish(ended());
  assertMatch(
    await served.becomes(503),
    /^The subscription of group "payment" has settled no AuctionEnded since \S+: 1 handler runs\n$/,
  );
  assertEquals(await served.ask("livez"), LIVE);
  released.resolve();
  assertEquals(await served.becomes(200), "ready\n");
});

Deno.test("/livez and /readyz are 503 with the group when an error has ended its subscription", async () => {
  await using server = await RedisServer.start();
  await using broker: AuctionBroker = await connect(server.url, { events });
  await using other: AuctionBroker = await connect(server.url, { events });
  await using served = new Served(broker);
  // An error event without a listener would be reported as uncaught.
  broker.addEventListener("error", () => {});
  await broker.subscribe(AuctionEnded, () => {}, { group: "payment" });
  await other.deleteGroup(AuctionEnded, { group: "payment", force: true });
  await broker.publish(ended());
  await until(async () => (await served.ask("livez")).status === 503, "the subscription has ended");
  assertEquals((await served.ask("livez")).text, 'An error has ended the subscription of group "payment"\n');
  assertMatch(await served.becomes(503), /^The subscription of group "payment" has ended: [^]+\n$/);
});

Deno.test("/readyz is 503 once the broker is closed", async () => {
  const broker: AuctionBroker = await connect("memory:", { events });
  await using served = new Served(broker);
  assertEquals((await served.ask("readyz")).status, 200);
  await broker.close();
  assertEquals(await served.ask("readyz"), { status: 503, text: "The broker is closed\n" });
});
