import { Measured } from "../_detail.ts";
import { consumeMany, openBroker, publishMany } from "./_broker.ts";
import type { Curve } from "./_curve.ts";
import { rewritten } from "./_rewrite.ts";

const EVENTS = 10_000;
// An hour in ms: long after the measurement.
const RETRY = { minTimeout: 3_600_000, maxTimeout: 3_600_000, jitter: 0 };

/** The cost of publishing and consuming, by the number of deliveries that wait for a retry. */
export const parked: Curve = {
  name: "parked_retries",
  title: "The cost of an event by the retries that wait",
  x: "deliveries that wait for a retry",
  unit: "µs per event",
  sizes: [1, 100, 10_000, 100_000],
  measure: async (place, size) => {
    await using broker = await openBroker(place);
    await publishMany(broker, size);
    const failed = Promise.withResolvers<void>();
    let left = size;
    const settings = { group: "group", concurrency: 500, retry: RETRY };
    const failing = await broker.subscribe(Measured, () => {
      throw new Error("This handler always fails");
    }, settings);
    failing.addEventListener("retry", () => {
      if (--left === 0) failed.resolve();
    });
    await failed.promise;
    await failing.close();
    await rewritten(place.redis);
    const { cost } = await publishMany(broker, EVENTS);
    return { publish: cost, consume: await consumeMany(broker, EVENTS, { group: "group" }) };
  },
};
