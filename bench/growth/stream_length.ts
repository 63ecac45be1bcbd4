import { consumeMany, openBroker, publishMany } from "./_broker.ts";
import type { Curve } from "./_curve.ts";
import { fillStream } from "./_fill.ts";
import { rewritten } from "./_rewrite.ts";

const EVENTS = 10_000;

/** The cost of publishing to a stream and consuming from its end, by its length. */
export function streamLength(most: number): Curve {
  return {
    name: "stream_length",
    title: "The cost of an event by the length of its stream",
    x: "events in the stream",
    unit: "µs per event",
    sizes: [1_000, 10_000, 100_000, 1_000_000, 10_000_000].filter((size) => size <= most),
    measure: async (place, size) => {
      await fillStream(place.redis, size);
      await rewritten(place.redis);
      await using broker = await openBroker(place);
      const { cost, first } = await publishMany(broker, EVENTS);
      return { publish: cost, consume: await consumeMany(broker, EVENTS, { group: "group", startFrom: first }) };
    },
  };
}
