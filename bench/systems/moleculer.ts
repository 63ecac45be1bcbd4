import type { Detail } from "../_detail.ts";
import type { Place } from "../_case.ts";
import { load } from "./_packages.ts";
import type { System } from "./_system.ts";

const CHANNEL = "measured";

interface ServiceBroker {
  sendToChannel(name: string, payload: Detail): Promise<void>;
  createService(schema: object): unknown;
  start(): Promise<void>;
  stop(): Promise<void>;
}

/** Moleculer's channels over Redis Streams. */
export const moleculerSystem: System = {
  name: "moleculer-channels",
  note: "ioredis with enableAutoPipelining, maxInFlight 500 in all rows, no logger",
  publisher: async (place) => {
    const broker = await open(place);
    await broker.start();
    return { send: (detail) => broker.sendToChannel(CHANNEL, detail), close: () => broker.stop() };
  },
  consumer: async (place, { handler }) => {
    const broker = await open(place);
    broker.createService({
      name: "consumer",
      channels: {
        [CHANNEL]: {
          group: "group",
          maxInFlight: 500,
          redis: { startID: "0" },
          handler: (detail: Detail) => handler(detail),
        },
      },
    });
    await broker.start();
    return { close: () => broker.stop() };
  },
};

async function open({ redis }: Place): Promise<ServiceBroker> {
  const { default: { ServiceBroker } } = await load("moleculer");
  const { default: { Middleware } } = await load("@moleculer/channels");
  const { hostname, port } = new URL(redis);
  const options = { redis: { host: hostname, port: Number(port), enableAutoPipelining: true } };
  return new ServiceBroker({
    logger: false,
    metrics: false,
    tracing: false,
    middlewares: [Middleware({ adapter: { type: "Redis", options } })],
  });
}
