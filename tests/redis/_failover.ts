import { assertEquals } from "@std/assert";
import { defineEvent, EventBroker, type Position } from "@tidings/broker";
import { openRedisStore } from "../../src/redis/open.ts";
import type { RedisOptions } from "../../src/redis_options.ts";
import { Seen, settled, sleep, told, until } from "../../src/testing/_broker_bench.ts";
import { insist, isTooLate } from "../faults/_insist.ts";
import type { WatchedServers } from "./_sentinel.ts";

/** What is published all the while. */
export class Counted extends defineEvent("Counted")<{ n: number }> {}

const AT_ONCE = 20;

/** Publishing and consuming without an end, while servers come and go. */
export class Load implements AsyncDisposable {
  /** What was answered, in that order: where it stands, and when that was told, by `performance.now()`. */
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
    // Whoever asks for the verdict is told.
    this.#publishing.catch(() => {});
  }

  /** Starts it with brokers of its own, and resolves once events are handled. */
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
      // Not at all is fine here as well: it is what was answered that counts.
      const position = await insist(() => this.#publisher.publish(event), isTooLate);
      this.answered.push({ id: event.id, position, at: performance.now() });
      await sleep(1);
    }
  }

  /** Waits until something is answered that was asked for after now, and returns how long that took since `from`, in ms. */
  async resumed(from: number, timeout = 30_000): Promise<number> {
    const before = this.answered.length;
    // What was under way may be answered still.
    await until(() => this.answered.length > before + 2 * AT_ONCE, "publishing goes on", timeout);
    return this.answered[before + 2 * AT_ONCE]!.at - from;
  }

  /**
   * Ends it, and asserts that nothing stands twice in the stream, and that all that stands there was handled.
   *
   * @returns The ids that were answered, and are not there.
   */
  async verdict(): Promise<string[]> {
    this.#stopped = true;
    await this.#publishing;
    await settled(this.consumer, Counted, "group", 20_000);
    const there = (await Array.fromAsync(this.consumer.history(Counted))).map(({ id }) => id);
    const distinct = new Set(there);
    assertEquals(there.length, distinct.size, "nothing stands there twice");
    const handled = new Set(this.handled.ids);
    assertEquals(there.filter((id) => !handled.has(id)), [], "all that stands there was handled");
    return this.answered.map(({ id }) => id).filter((id) => !distinct.has(id));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.consumer[Symbol.asyncDispose]();
    await this.#publisher[Symbol.asyncDispose]();
    await this.#publishing.catch(() => {});
  }
}

/** Ids of the stream on one of the servers, as they stand there. */
export async function idsOn(server: WatchedServers["servers"][number]): Promise<string[]> {
  const text = await server.cli("--json", "XRANGE", "events:Counted", "-", "+");
  return (JSON.parse(text) as [string, string[]][]).map(([position, [, id]]) => `${position} ${id}`);
}
