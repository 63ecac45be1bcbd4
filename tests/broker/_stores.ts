import { connect, defineEvent, type EventBroker } from "@tidings/broker";
import type { BrokerOptions } from "@tidings/broker";
import { openBroker } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";

export class Counted extends defineEvent("Counted")<{ n: number; text: string }> {}

export type Options = Omit<BrokerOptions<typeof Counted>, "events">;

const TEXT = "x".repeat(150);

/** One store's data, and brokers over it. */
export interface Place extends AsyncDisposable {
  open(options?: Options): Promise<EventBroker<typeof Counted>>;
  /** The server's memory in use, in bytes; 0 without a server. */
  used(): Promise<number>;
  readonly server?: RedisServer;
}

/** The stores, by name. */
export const PLACES: Readonly<Record<string, () => Promise<Place>>> = {
  InMemoryStore: () => {
    const name = crypto.randomUUID();
    return Promise.resolve({
      open: (options) => connect(`memory:${name}`, { ...options, events: [Counted] }),
      used: () => Promise.resolve(0),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
  SqliteStore: async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    return {
      open: (options) => connect(`sqlite:${directory}/events.db`, { ...options, events: [Counted] }),
      used: () => Promise.resolve(0),
      [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
    };
  },
  RedisStore: async () => {
    const server = await RedisServer.start();
    return {
      open: (options) => openBroker(server.url, { ...options, events: [Counted] }),
      used: async () => Number(/^used_memory:(\d+)/m.exec(await server.cli("INFO", "memory"))![1]),
      server,
      [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
    };
  },
};

/** Publishes `count` events, numbered from 0. */
export async function fill(broker: EventBroker<typeof Counted>, count: number): Promise<void> {
  for (let at = 0; at < count; at += 2_000) {
    const parts = [0, 500, 1_000, 1_500].filter((part) => at + part < count);
    await Promise.all(
      parts.map((part) =>
        broker.publish(Array.from({ length: 500 }, (_, i) => new Counted({ n: at + part + i, text: TEXT })))
      ),
    );
  }
}
