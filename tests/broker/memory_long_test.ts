// Guarantee 31: whatever there is of events, retries, keys and publishes, what is held of them here is bounded.

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
  Deno.test(`${name}: a slow handler behind a million events holds no more than prefetch allows`, async () => {
    await using place = await open();
    await using broker = await place.open();
    await fill(broker, MILLION);
    let handled = 0;
    const grown = await heapGrowth(async () => {
      const subscription = await broker.subscribe(Counted, async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        handled++;
      }, { group: "group", concurrency: 8 });
      await until(() => handled >= 10_000, "10,000 are handled", LONG);
      const { pending } = await groupOf(broker, Counted);
      assertLess(pending, 1_001);
      await subscription.close();
    });
    const { lag } = await groupOf(broker, Counted);
    console.log(`${name}: ${lag} of ${MILLION} events unread, the heap grew by ${megabytes(grown)}`);
    // The in-memory store keeps nothing for what was settled.
    assertLess(grown, 8 * MIB);
  });

  Deno.test(`${name}: a million waiting retries are the store's, and the engine holds none of them`, async () => {
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
    await until(() => attempts >= MILLION, "each was tried", LONG);
    await until(async () => (await groupOf(broker, Counted)).retrying >= MILLION, "all wait in the store", LONG);
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
    // The in-memory store has nowhere else to keep them.
    assertLess(grown, name === "InMemoryStore" ? 500 * MILLION : 8 * MIB);
    assertLess(used, 600);
  });

  Deno.test(`${name}: ten thousand keys that wait fill prefetch, and nothing more is read`, async () => {
    await using place = await open();
    await using broker = await place.open();
    await fill(broker, 20_000);
    const inUse = heapInUse();
    let attempts = 0;
    const subscription = await broker.subscribe(Counted, () => {
      attempts++;
      throw new TypeError("not now");
    }, { group: "group", prefetch: 10_000, concurrency: 100, key: ({ detail }) => `${detail.n}`, retry: LATER });
    await until(async () => (await groupOf(broker, Counted)).consumers[0]?.stalled === true, "it is stalled", LONG);
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
  Deno.test(`RedisStore: what is published while the server ${state} is kept up to 100,000 events, and no further`, async () => {
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
    await until(() => refused.events === 200_000, "the rest is refused");
    const grown = heapInUse() - inUse;
    console.log(`RedisStore, the server ${state}: 100000 events wait in ${megabytes(grown)}, 200000 were refused`);
    // The events themselves, and what waits for each answer: about 3 KB for each.
    assertLess(grown, 400 * MIB);
    await (state === "is dead" ? server.restart() : server.resume());
    await Promise.all(positions);
    let n = -1;
    for await (const event of broker.history(Counted)) assertEquals(event.detail.n, n++);
    assertEquals(n, 100_000);
  });
}
