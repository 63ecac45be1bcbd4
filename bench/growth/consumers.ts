import { type Detail, Measured } from "../_detail.ts";
import { Counter } from "../cases/consume.ts";
import { openBroker, publishMany } from "./_broker.ts";
import { type Curve, microseconds } from "./_curve.ts";

const EVENTS = 20_000;

/** The cost from publish to handler by the number of consumers, each a broker in this process. */
export const consumers: Curve = {
  name: "consumers",
  title: "The cost of an event by the consumers of its group",
  x: "consumers in the group",
  unit: "µs per event",
  sizes: [1, 4, 16, 64],
  measure: async (place, size) => {
    const publisher = await openBroker(place);
    const brokers = await Promise.all(Array.from({ length: size }, () => openBroker(place)));
    const counter = new Counter(EVENTS);
    const handler = (event: Measured) => counter.saw(event.detail as Detail);
    await Promise.all(brokers.map((broker) => broker.subscribe(Measured, handler, { group: "group" })));
    const cost = await microseconds(EVENTS, async () => {
      await publishMany(publisher, EVENTS);
      await counter.all;
    });
    await Promise.all([publisher, ...brokers].map((broker) => broker.close()));
    counter.check("the published events");
    return { "publish and consume": cost };
  },
};
