import { assert, assertEquals } from "@std/assert";
import { connect, defineEvent, type EventBroker } from "@tidings/broker";

class Counted extends defineEvent("Counted")<{ n: number; text: string }> {}

const TEXT = "x".repeat(150);
// What a million events would take on the heap is many times this.
const MOST = 150 * 2 ** 20;

async function withBroker(body: (broker: EventBroker<typeof Counted>) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  try {
    await using broker = await connect(`sqlite:${directory}/events.db`, { events: [Counted] });
    await body(broker);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

async function fill(broker: EventBroker<typeof Counted>, count: number): Promise<void> {
  for (let at = 0; at < count; at += 500) {
    await broker.publish(Array.from({ length: 500 }, (_, i) => new Counted({ n: at + i, text: TEXT })));
  }
}

/** How far the heap grows beyond what it was, at most, while the work is done. */
async function growth(work: (look: () => void) => Promise<void>): Promise<number> {
  const before = Deno.memoryUsage().heapUsed;
  let most = before;
  await work(() => most = Math.max(most, Deno.memoryUsage().heapUsed));
  return most - before;
}

Deno.test("EventBroker.history() reads 100,000 events with bounded memory", () =>
  withBroker(async (broker) => {
    await fill(broker, 100_000);
    for (const reverse of [false, true]) {
      let n = 0;
      const grown = await growth(async (look) => {
        for await (const event of broker.history(Counted, { reverse })) {
          assert(event.detail.n === (reverse ? 99_999 - n : n));
          if (n++ % 1_000 === 0) look();
        }
      });
      assertEquals(n, 100_000);
      assert(grown < MOST, `The heap grew by ${grown} bytes`);
    }
  }));

Deno.test("EventBroker.subscribe() keeps memory flat with a slow handler behind a million events", () =>
  withBroker(async (broker) => {
    await fill(broker, 1_000_000);
    let handled = 0;
    const grown = await growth(async (look) => {
      const subscription = await broker.subscribe(Counted, async () => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        if (handled++ % 100 === 0) look();
      }, { group: "group", concurrency: 8 });
      while (handled < 5_000) await new Promise((resolve) => setTimeout(resolve, 50));
      const { groups: [group] } = await broker.info(Counted);
      assert(group!.pending <= 1_000, `${group!.pending} are held`);
      await subscription.close();
    });
    assert(grown < MOST, `The heap grew by ${grown} bytes`);
    assertEquals((await broker.info(Counted)).groups[0]!.lag >= 990_000, true);
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
