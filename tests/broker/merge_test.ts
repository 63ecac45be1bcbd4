import { assertEquals, assertRejects } from "@std/assert";
import { defineEvent } from "../../src/events/mod.ts";
import { interleave, merge } from "../../src/broker/reading/_merge.ts";
import { recordIn } from "../../src/events/_state.ts";
import { WakeUp } from "../../src/store/_wake_up.ts";

class Tick extends defineEvent("Tick")<{ n: number }> {}

/** An event at the position `<n>-0`. */
function tick(n: number): Tick {
  const event = new Tick({ n });
  recordIn(event).position = `${n}-0`;
  return event;
}

/** The numbers as a stream, and how many such streams have not ended. */
class Streams {
  open = 0;

  async *of(numbers: Iterable<number>): AsyncGenerator<Tick, void, void> {
    this.open++;
    try {
      for (const n of numbers) yield tick(n);
    } finally {
      this.open--;
    }
  }
}

const numbers = (events: AsyncIterable<Tick>) => Array.fromAsync(events, ({ detail }) => detail.n);

Deno.test("merge() orders events of any number of streams, from both ends, and ends all streams", async () => {
  for (const count of [1, 2, 3, 7, 64, 1_024]) {
    const all = Array.from({ length: 3_000 }, (_, n) => n);
    const parts = Map.groupBy(all, () => Math.floor(Math.random() * count));
    const streams = new Streams();
    const opened = () => [...parts.values()].map((part) => streams.of(part));
    assertEquals(await numbers(merge(opened(), {}, new AbortController())), all);
    const reversed = [...parts.values()].map((part) => streams.of(part.toReversed()));
    const left = new AbortController();
    assertEquals(await numbers(merge(reversed, { reverse: true, limit: 5 }, left)), all.slice(-5).reverse());
    assertEquals([left.signal.aborted, streams.open], [true, 0]);
    assertEquals(await numbers(merge(opened(), { limit: 0 }, new AbortController())), []);
  }
});

Deno.test("merge() from the end gives the reverse, also of equal positions", async () => {
  const streams = new Streams();
  const parts = [[1, 2, 2, 5], [2, 5], [1, 1, 5]];
  const merged = (reverse: boolean) => {
    const from = new Map<Tick, number>();
    const noted = parts.map(async function* (part, stream) {
      for await (const event of streams.of(reverse ? part.toReversed() : part)) {
        from.set(event, stream);
        yield event;
      }
    });
    const events = merge(noted, { reverse }, new AbortController());
    return Array.fromAsync(events, (event) => `${event.detail.n} of stream ${from.get(event)}`);
  };
  assertEquals((await merged(true)).reverse(), await merged(false));
});

Deno.test("merge() keeps the order of the streams for equal positions, and takes another order", async () => {
  const streams = new Streams();
  const events = merge([streams.of([1, 2]), streams.of([1, 2])], {}, new AbortController(), (_a, _b, i, j) => j - i);
  assertEquals(await numbers(events), [1, 2, 1, 2]);
});

Deno.test("interleave() gives events as they arrive, takes more streams, and ends all streams", async () => {
  const streams = new Streams();
  const come = new WakeUp();
  const more: AsyncGenerator<Tick, void, void>[] = [];
  const left = new AbortController();
  const waits = async function* () {
    yield* streams.of([1, 2]);
    // It waits for events until the reading ends.
    await new Promise<void>((resolve) => left.signal.addEventListener("abort", () => resolve()));
  };
  const seen: number[] = [];
  for await (const { detail } of interleave([waits()], { more, come }, { limit: 4 }, left)) {
    seen.push(detail.n);
    if (seen.length !== 2) continue;
    setTimeout(() => {
      more.push(streams.of([3, 4, 5]));
      come.wake();
    }, 0);
  }
  assertEquals([seen, left.signal.aborted, streams.open], [[1, 2, 3, 4], true, 0]);
});

Deno.test("interleave() rejects with the error of a stream, and ends the others", async () => {
  const streams = new Streams();
  const left = new AbortController();
  const failing = async function* (): AsyncGenerator<Tick, void, void> {
    yield* streams.of([1]);
    throw new Error("broken");
  };
  const events = interleave([failing()], { more: [], come: new WakeUp() }, {}, left);
  await assertRejects(() => numbers(events), Error, "broken");
  assertEquals([left.signal.aborted, streams.open], [true, 0]);
});
