import type { Place } from "../_case.ts";
import type { Detail } from "../_detail.ts";
import { load } from "./_packages.ts";
import type { System } from "./_system.ts";

const QUEUE = "measured";

interface Queue {
  add(name: string, data: Detail): Promise<unknown>;
  addBulk(jobs: readonly { name: string; data: Detail }[]): Promise<unknown>;
  close(): Promise<void>;
}

interface BullMq {
  Queue: new (name: string, options: object) => Queue;
  Worker: new (
    name: string,
    processor: (job: { data: Detail }) => Promise<void>,
    options: object,
  ) => {
    on(event: "error", listener: (error: Error) => void): void;
    waitUntilReady(): Promise<unknown>;
    close(): Promise<void>;
  };
}

const connection = ({ redis }: Place) => {
  const { hostname, port } = new URL(redis);
  return { host: hostname, port: Number(port), maxRetriesPerRequest: null };
};

/** Jobs of BullMQ: it keeps nothing of a job that is done, and no log of events. */
export const bullMqSystem: System = {
  name: "BullMQ",
  note: "removeOnComplete, attempts 1, no event log (maxLen 0); one Worker with as many at once as the row says",
  publisher: async (place) => {
    const { Queue } = await load("bullmq") as BullMq;
    const queue = new Queue(QUEUE, {
      connection: connection(place),
      defaultJobOptions: { removeOnComplete: true, attempts: 1 },
      streams: { events: { maxLen: 0 } },
    });
    return {
      send: (detail) => queue.add("measured", detail),
      sendAll: (details) => queue.addBulk(details.map((data) => ({ name: "measured", data }))),
      close: () => queue.close(),
    };
  },
  consumer: async (place, { concurrency, handler }) => {
    const { Worker } = await load("bullmq") as BullMq;
    const failed = Promise.withResolvers<never>();
    const worker = new Worker(QUEUE, async ({ data }) => await handler(data), {
      connection: connection(place),
      concurrency,
      removeOnComplete: { count: 0 },
    });
    worker.on("error", failed.reject);
    await worker.waitUntilReady();
    return { close: () => Promise.race([worker.close(), failed.promise]) };
  },
};
