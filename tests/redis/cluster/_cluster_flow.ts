import { assertEquals } from "@std/assert";
import { defineEvent, type EventBroker, RedisBroker, type RedisOptions, type Subscription } from "@tidings/broker";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { settled, sleep, told, until } from "../../../src/testing/_broker_bench.ts";
import { insist } from "../../faults/_insist.ts";
import type { RedisCluster } from "../_cluster.ts";

/** The event that is published. */
class Counted extends defineEvent("Counted")<{ n: number }> {}

type Broker = EventBroker<typeof Counted>;

const GROUP = "group";
const EACH = 25;

/** The prefetch of the consumer. */
export const PREFETCH = 100;

/** The numbers of the events that were published, stored, handled and heard. */
export interface FlowResult {
  /** How many were published. Every publish has resolved. */
  readonly published: number;
  /** In the order of the stream. */
  readonly stored: readonly number[];
  readonly handled: readonly number[];
  /** By a live listener. */
  readonly heard: readonly number[];
  /** Types of the subscription's lifecycle events, except "reconnect". */
  readonly unwanted: readonly string[];
}

/** Publishes, handles and hears events until it is finished, while a test changes the cluster. */
export class Flow implements AsyncDisposable {
  /** The stream of the events. */
  readonly stream: string;
  /** The "reconnect" events of the publisher and the consumer. */
  readonly tries: { readonly publisher: readonly Event[]; readonly consumer: readonly Event[] };
  #brokers: readonly [publisher: Broker, consumer: Broker];
  #handled: number[];
  #heard: number[] = [];
  #unwanted: readonly Event[][];
  #published = 0;
  #answered = 0;
  #stopped = false;
  #publishing: Promise<void>;

  private constructor(
    stream: string,
    brokers: [Broker, Broker],
    subscription: Subscription,
    handled: number[],
  ) {
    this.stream = stream;
    this.#brokers = brokers;
    this.#handled = handled;
    this.tries = { publisher: told(brokers[0], "reconnect"), consumer: told(subscription, "reconnect") };
    this.#unwanted = ["error", "retry", "deadletter", "recovered", "leaselost", "entrieslost", "grouplost"]
      .map((type) => told(subscription, type));
    // On the publishing broker, so that it hears the first event too.
    brokers[0].addEventListener("Counted", (event) => void this.#heard.push(event.detail.n));
    this.#publishing = this.#publish();
    // `finish` reports the error.
    this.#publishing.catch(() => {});
  }

  /**
   * Starts the flow, and resolves once events are handled and heard.
   *
   * @param nth The index of the master that has the stream when the cluster is started.
   * @param options.kind The client. @default {"node-redis"}
   */
  static async start(
    cluster: RedisCluster,
    nth: number,
    { kind = "node-redis", redis = {} }: { readonly kind?: ClientKind; readonly redis?: RedisOptions } = {},
  ): Promise<Flow> {
    const prefixes = Array.from({ length: 1_000 }, () => `flow-${crypto.randomUUID()}`);
    const prefix = prefixes.find((candidate) => cluster.indexOf(`${candidate}:Counted`) === nth)!;
    const open = () => RedisBroker.connect(cluster.url, { client: kind, events: [Counted], prefix, redis });
    const brokers: [Broker, Broker] = [await open(), await open()];
    const handled: number[] = [];
    const handler = async ({ detail }: Counted) => {
      handled.push(detail.n);
      if (detail.n % 50 === 0) await sleep(1);
    };
    const subscription = await brokers[1].subscribe(Counted, handler, { group: GROUP, prefetch: PREFETCH });
    const flow = new Flow(`${prefix}:Counted`, brokers, subscription, handled);
    await flow.continues();
    return flow;
  }

  async #publish(): Promise<void> {
    while (!this.#stopped) {
      const events = Array.from({ length: EACH }, () => new Counted({ n: this.#published++ }));
      await Promise.all(events.map(async (event) => {
        await insist(() => this.#brokers[0].publish(event));
        this.#answered++;
      }));
      await sleep(1);
    }
  }

  /** How many publishes have resolved. */
  get answered(): number {
    return this.#answered;
  }

  /** Resolves once events that are published after this call are handled and heard. */
  async continues(timeout = 20_000): Promise<void> {
    const next = this.#published;
    const reached = (numbers: readonly number[]) => numbers.some((n) => n >= next);
    await until(
      () => this.#answered > next && reached(this.#handled) && reached(this.#heard),
      "new events are handled and heard",
      timeout,
    );
  }

  /** Ends the publishing, and resolves once all stored events are settled and heard. */
  async finish(): Promise<FlowResult> {
    const [publisher] = this.#brokers;
    this.#stopped = true;
    await this.#publishing;
    await settled(publisher, Counted, GROUP, 20_000);
    const stored = (await Array.fromAsync(publisher.history(Counted))).map(({ detail }) => detail.n);
    await until(() => this.#heard.at(-1) === stored.at(-1), "all events are heard", 20_000);
    return {
      published: this.#published,
      stored,
      handled: this.#handled,
      heard: this.#heard,
      unwanted: this.#unwanted.flat().map(({ type }) => type),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#brokers.map((broker) => broker.close()));
    await this.#publishing.catch(() => {});
  }
}

/** The numbers from 0 to `count - 1`. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/**
 * Asserts that each event is stored once, in order, and was handled and heard, except events that a failover lost.
 *
 * @param options.lost Whether a failover may have lost events.
 * @returns The numbers of the lost events.
 */
export function assertFlow({ published, stored, handled, heard }: FlowResult, { lost }: { lost: boolean }): number[] {
  const kept = new Set(stored);
  assertEquals(stored, upTo(published).filter((n) => kept.has(n)), "stored once, in order");
  const gone = upTo(published).filter((n) => !kept.has(n));
  // A replica lacks only the last events before it took over.
  if (lost) assertEquals(gone, upTo(gone.length).map((nth) => gone[0]! + nth), "the lost events are consecutive");
  else assertEquals(gone, []);
  const seen = new Set(handled);
  assertEquals(stored.filter((n) => !seen.has(n)), [], "all stored events are handled");
  assertEquals(
    heard.filter((n, nth) => kept.has(n) && heard.indexOf(n) === nth),
    stored,
    "all stored events are heard",
  );
  return gone;
}
