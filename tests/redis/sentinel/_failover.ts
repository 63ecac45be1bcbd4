import { assertEquals } from "@std/assert";
import { defineEvent, EventBroker, type Position } from "@tidings/broker";
import { openRedisStore } from "../../../src/redis/open.ts";
import type { RedisOptions } from "../../../src/redis_options.ts";
import { Seen, settled, sleep, told, until } from "../../../src/testing/_broker_bench.ts";
import { insist, isTooLate } from "../../faults/_insist.ts";
import type { WatchedServers } from "../_sentinel.ts";

/** The event that is published. */
export class Counted extends defineEvent("Counted")<{ n: number }> {}

const AT_ONCE = 20;

/** Publishes and consumes until the verdict, while a test stops and starts servers. */
export class Load implements AsyncDisposable {
  /** Publishes that resolved, in that order, each with its position and its time by `performance.now()`. */
  readonly answered: { id: string; position: Position; at: number }[] = [];
  readonly handled = new Seen<Counted>();
  readonly reconnects: Event[];
  readonly consumer: EventBroker<typeof Counted>;
  #publisher: EventBroker<typeof Counted>;
  #publishing: Promise<unknown>;
  #stopped = false;

  private constructor(
    publisher: EventBroker<typeof Counted>,
    consumer: EventBroker<typeof Counted>,
    reconnects: Event[],
  ) {
    this.#publisher = publisher;
    this.consumer = consumer;
    this.reconnects = reconnects;
    this.#publishing = Promise.all(Array.from({ length: AT_ONCE }, () => this.#publish()));
    // `verdict` reports the error.
    this.#publishing.catch(() => {});
  }

  /** Starts the load with new brokers, and resolves once events are handled. */
  static async start(target: string, redis: RedisOptions = {}): Promise<Load> {
    const open = async () =>
      new EventBroker(await openRedisStore(target, { client: "node-redis", redis }), { events: [Counted] });
    const publisher = await open();
    const consumer = await open();
    const reconnects = told(publisher, "reconnect");
    const load = new Load(publisher, consumer, reconnects);
    const subscription = await consumer.subscribe(Counted, load.handled.handler, { group: "group", concurrency: 8 });
    told(subscription, "reconnect");
    await until(() => load.handled.events.length > 500, "events are handled");
    return load;
  }

  async #publish(): Promise<void> {
    while (!this.#stopped) {
      const event = new Counted({ n: 0 });
      // An event that is certainly not stored is published again too.
      const position = await insist(() => this.#publisher.publish(event), isTooLate);
      this.answered.push({ id: event.id, position, at: performance.now() });
      await sleep(1);
    }
  }

  /** Waits until a publish resolves that began after this call, and returns the milliseconds since `from`. */
  async resumed(from: number, timeout = 30_000): Promise<number> {
    const before = this.answered.length;
    // Publishes in flight may still resolve.
    await until(() => this.answered.length > before + 2 * AT_ONCE, "later publishes resolve", timeout);
    return this.answered[before + 2 * AT_ONCE]!.at - from;
  }

  /**
   * Ends the load, and asserts that no event is stored twice, and that all stored events were handled.
   *
   * @returns The ids of events whose publish resolved and which are not stored.
   */
  async verdict(): Promise<string[]> {
    this.#stopped = true;
    await this.#publishing;
    await settled(this.consumer, Counted, "group", 20_000);
    const stored = (await Array.fromAsync(this.consumer.history(Counted))).map(({ id }) => id);
    const distinct = new Set(stored);
    assertEquals(stored.length, distinct.size, "no event is stored twice");
    const handled = new Set(this.handled.ids);
    assertEquals(stored.filter((id) => !handled.has(id)), [], "all stored events are handled");
    return this.answered.map(({ id }) => id).filter((id) => !distinct.has(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.consumer[Symbol.asyncDispose]();
    await this.#publisher[Symbol.asyncDispose]();
    await this.#publishing.catch(() => {});
  }
}

/** Positions and ids of the stream on one server, in order. */
export async function idsOn(server: WatchedServers["servers"][number]): Promise<string[]> {
  const text = await server.cli("--json", "XRANGE", "events:Counted", "-", "+");
  return (JSON.parse(text) as [string, string[]][]).map(([position, [, id]]) => `${position} ${id}`);
}
