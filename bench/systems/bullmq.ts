import { createClient } from "redis";
import type { Place } from "../_case.ts";
import type { Detail } from "../_detail.ts";
import { load } from "./_packages.ts";
import type { System } from "./_system.ts";

const QUEUE = "measured";

interface Queue {
  waitUntilReady(): Promise<unknown>;
  add(name: string, data: Detail): Promise<unknown>;
  addBulk(jobs: readonly { name: string; data: Detail }[]): Promise<unknown>;
  close(): Promise<void>;
}

interface Worker {
  on(event: "error", listener: (error: Error) => void): void;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

interface BullMq {
  Queue: new (name: string, options: object) => Queue;
  Worker: new (name: string, processor: (job: { data: Detail }) => Promise<void>, options: object) => Worker;
}

// node-redis was faster in most rows than BullMQ's usual client, ioredis, with and without pipelining.
const clientOf = ({ redis }: Place) => createClient({ url: redis, commandOptions: { timeout: undefined } } as object);

/** Jobs of BullMQ. It removes finished jobs, and keeps no log of events. */
export const bullMqSystem: System = {
  name: "BullMQ",
  note: "over node-redis without timeouts, removeOnComplete, attempts 1, no event log (maxLen 0); one Worker with as " +
    "many at once as the row says",
  publisher: async (place) => {
    const { Queue } = await load("bullmq") as BullMq;
    const connection = clientOf(place);
    const queue = new Queue(QUEUE, {
      connection,
      defaultJobOptions: { removeOnComplete: true, attempts: 1 },
      streams: { events: { maxLen: 0 } },
    });
    await queue.waitUntilReady();
    return {
      send: (detail) => queue.add("measured", detail),
      sendAll: (details) => queue.addBulk(details.map((data) => ({ name: "measured", data }))),
      close: async () => {
        await queue.close();
        connection.destroy();
      },
    };
  },
  consumer: async (place, { concurrency, handler }) => {
    const { Worker } = await load("bullmq") as BullMq;
    const connection = clientOf(place);
    const failed = Promise.withResolvers<never>();
    const worker = new Worker(QUEUE, async ({ data }) => await handler(data), {
      connection,
      concurrency,
      removeOnComplete: { count: 0 },
    });
    worker.on("error", failed.reject);
    await worker.waitUntilReady();
    return {
      close: async () => {
        await Promise.race([worker.close(), failed.promise]);
        connection.destroy();
      },
    };
  },
};
