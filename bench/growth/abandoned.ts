import { openStore } from "../../tests/redis/_bench.ts";
import { STREAM } from "../_detail.ts";
import { consumeMany, openBroker, publishMany } from "./_broker.ts";
import type { Curve } from "./_curve.ts";

const LEASE = 2_000;

/** The cost of taking over the deliveries of a dead consumer, by their number. */
export const abandoned: Curve = {
  name: "abandoned_deliveries",
  title: "The cost of a takeover by the deliveries of the dead consumer",
  x: "deliveries of the dead consumer",
  unit: "µs per delivery",
  sizes: [1_000, 10_000, 100_000],
  measure: async (place, size) => {
    await using broker = await openBroker(place);
    await publishMany(broker, size);
    const store = await openStore(new URL(place.redis));
    const member = await store.member(STREAM, "group", { consumer: "dying", lease: LEASE, startFrom: "beginning" });
    for (let held = 0; held < size;) {
      const { records } = await member.claim({ limit: 500, signal: AbortSignal.timeout(60_000) });
      held += records.length;
    }
    // Closing the store simulates a crash: its connections end, and its deliveries are not released.
    await store[Symbol.asyncDispose]();
    await new Promise((resolve) => setTimeout(resolve, LEASE + 50));
    return { "take over and handle": await consumeMany(broker, size, { group: "group" }) };
  },
};
