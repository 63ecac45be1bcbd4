// Guarantee 31: memory is bounded, however many events, retries, keys and publishes there are.

import { assertEquals, assertLess } from "@std/assert";
import { PublishQueueFullError } from "@tidings/broker";
import { groupOf, until } from "../../src/testing/_broker_bench.ts";
import { heapGrowth, heapInUse, megabytes } from "./_heap.ts";
import { Counted, fill, PLACES } from "./_stores.ts";

const MILLION = 1_000_000;
const MIB = 2 ** 20;
const LATER = { minTimeout: 3_600_000, maxTimeout: 3_600_000, jitter: 0 };
const LONG = 600_000;

for (const [name, open] of Object.entries(PLACES)) {
  Deno.test(`${name}: a subscription with a slow handler holds at most prefetch of a million events`, async () => {
    await using place = await open();
    await using broker = await place.open();
    await fill(broker, MILLION);
    let handled = 0;
    const grown = await heapGrowth(async () => {
      const subscription = await broker.subscribe(Counted, async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        handled++;
      }, { group: "group", concurrency: 8 });
      await until(() => handled >= 10_000, "10,000 events are handled", LONG);
      const { pending } = await groupOf(broker, Counted);
      assertLess(pending, 1_001);
      await subscription.close();
    });
    const { lag } = await groupOf(broker, Counted);
    console.log(`${name}: ${lag} of ${MILLION} events unread, the heap grew by ${megabytes(grown)}`);
    // The in-memory store keeps nothing for settled deliveries.
    assertLess(grown, 8 * MIB);
  });

  Deno.test(`${name}: a million retries wait in the store, and the engine holds none of them`, async () => {
    await using place = await open();
    await using broker = await place.open();
    await fill(broker, MILLION);
    const before = await place.used();
    const inUse = heapInUse();
    let attempts = 0;
    const start = performance.now();
    await using _subscription = await broker.subscribe(Counted, () => {
      attempts++;
      throw new TypeError("not now");
    }, { group: "group", concurrency: 100, retry: LATER });
    await until(() => attempts >= MILLION, "each event was tried", LONG);
    await until(
      async () => (await groupOf(broker, Counted)).retrying >= MILLION,
      "all retries wait in the store",
      LONG,
    );
    const { pending, retrying, lag } = await groupOf(broker, Counted);
    assertEquals({ attempts, pending, retrying, lag }, {
      attempts: MILLION,
      pending: MILLION,
      retrying: MILLION,
      lag: 0,
    });
    const seconds = (performance.now() - start) / 1_000;
    const grown = heapInUse() - inUse;
    const used = (await place.used() - before) / MILLION;
    console.log(
      `${name}: ${MILLION} retries wait after ${seconds.toFixed(0)} s, the heap grew by ${megabytes(grown)}, ` +
        `the server by ${used.toFixed(0)} bytes each`,
    );
    // The in-memory store keeps them on this heap.
    assertLess(grown, name === "InMemoryStore" ? 500 * MILLION : 8 * MIB);
    assertLess(used, 600);
  });

  Deno.test(`${name}: ten thousand waiting keys fill prefetch, and no more events are read`, async () => {
    await using place = await open();
    await using broker = await place.open();
    await fill(broker, 20_000);
    const inUse = heapInUse();
    let attempts = 0;
    const subscription = await broker.subscribe(Counted, () => {
      attempts++;
      throw new TypeError("not now");
    }, { group: "group", prefetch: 10_000, concurrency: 100, key: ({ detail }) => `${detail.n}`, retry: LATER });
    await until(
      async () => (await groupOf(broker, Counted)).consumers[0]?.stalled === true,
      "the consumer is stalled",
      LONG,
    );
    await until(async () => (await groupOf(broker, Counted)).retrying === 10_000, "each key waits for a retry", LONG);
    const { pending, retrying, lag } = await groupOf(broker, Counted);
    assertEquals({ attempts, pending, retrying, lag }, {
      attempts: 10_000,
      pending: 10_000,
      retrying: 10_000,
      lag: 10_000,
    });
    const grown = heapInUse() - inUse;
    console.log(`${name}: ${retrying} keys held, the heap grew by ${(grown / 10_000).toFixed(0)} bytes for each`);
    assertLess(grown, 40 * MIB);
    await subscription.close();
    const left = await groupOf(broker, Counted);
    assertEquals([left.pending, left.retrying, left.consumers], [10_000, 10_000, []]);
  });
}

for (const state of ["is paused", "is dead"]) {
  Deno.test(`RedisStore: publish() queues up to 100,000 events while the server ${state}, and refuses more`, async () => {
    await using place = await PLACES["RedisStore"]!();
    const server = place.server!;
    await using broker = await place.open();
    await broker.publish(new Counted({ n: -1, text: "" }));
    await (state === "is dead" ? server.kill() : server.pause());
    const inUse = heapInUse();
    const text = "x".repeat(150);
    const refused = { events: 0 };
    const positions: Promise<unknown>[] = [];
    for (let n = 0; n < 300_000; n++) {
      const publishing = broker.publish(new Counted({ n, text }));
      if (n < 100_000) positions.push(publishing);
      else publishing.catch((error) => error instanceof PublishQueueFullError && refused.events++);
    }
    await until(() => refused.events === 200_000, "all other publishes are refused");
    const grown = heapInUse() - inUse;
    console.log(`RedisStore, the server ${state}: 100000 events wait in ${megabytes(grown)}, 200000 were refused`);
    // The events and the state of each publish take about 3 KB.
    assertLess(grown, 400 * MIB);
    await (state === "is dead" ? server.restart() : server.resume());
    await Promise.all(positions);
    let n = -1;
    for await (const event of broker.history(Counted)) assertEquals(event.detail.n, n++);
    assertEquals(n, 100_000);
  });
}
