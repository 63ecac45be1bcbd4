import { assert, assertEquals, assertLess } from "@std/assert";
import type { EventBroker } from "@tidings/broker";
import { heapGrowth, megabytes } from "./_heap.ts";
import { Counted, fill, PLACES } from "./_stores.ts";

async function withBroker(body: (broker: EventBroker<typeof Counted>) => Promise<void>): Promise<void> {
  await using place = await PLACES["SqliteStore"]!();
  await using broker = await place.open();
  await body(broker);
}

Deno.test("EventBroker.history() reads 100,000 events with bounded memory", () =>
  withBroker(async (broker) => {
    await fill(broker, 100_000);
    for (const reverse of [false, true]) {
      let n = 0;
      const grown = await heapGrowth(async () => {
        for await (const event of broker.history(Counted, { reverse })) {
          assert(event.detail.n === (reverse ? 99_999 - n : n));
          n++;
        }
      });
      assertEquals(n, 100_000);
      console.log(`history() of ${n} events: the heap grew by ${megabytes(grown)}`);
      assertLess(grown, 8 * 2 ** 20);
    }
  }));

Deno.test("EventBroker.subscribe() handles 200,000 events, each once", () =>
  withBroker(async (broker) => {
    await fill(broker, 200_000);
    const seen = new Uint8Array(200_000);
    let handled = 0;
    await broker.subscribe(Counted, ({ detail: { n } }) => {
      seen[n]!++;
      handled++;
    }, { group: "group", concurrency: 100 });
    while (handled < 200_000) await new Promise((resolve) => setTimeout(resolve, 50));
    await broker.close();
    assert(seen.every((times) => times === 1));
  }));
