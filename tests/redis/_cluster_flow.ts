import { assertEquals } from "@std/assert";
import { defineEvent, type EventBroker, RedisBroker, type RedisOptions, type Subscription } from "@tidings/broker";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { settled, sleep, told, until } from "../../src/testing/_broker_bench.ts";
import { insist } from "../faults/_insist.ts";
import { eventually, type RedisCluster } from "./_cluster.ts";
import type { RedisServer } from "./_server.ts";

/** What flows. */
class Counted extends defineEvent("Counted")<{ n: number }> {}

type Broker = EventBroker<typeof Counted>;

const GROUP = "group";
const EACH = 25;

/** How many events the group holds at once, at most. */
export const PREFETCH = 100;

/** What became of the events, by their numbers. */
export interface Flown {
  /** How many were published: all of them were answered in the end. */
  readonly published: number;
  /** What the store has. */
  readonly stored: readonly number[];
  readonly handled: readonly number[];
  /** What a live listener heard. */
  readonly heard: readonly number[];
  /** What befell the subscription, besides reconnecting. */
  readonly mishaps: readonly string[];
}

/** Events that are published without end, handled and heard, while something befalls the cluster that has them. */
export class Flow implements AsyncDisposable {
  /** The stream that they are in. */
  readonly stream: string;
  /** How often publisher and consumer were told to try again. */
  readonly tries: { readonly publisher: readonly Event[]; readonly consumer: readonly Event[] };
  #brokers: readonly [publisher: Broker, consumer: Broker];
  #handled: number[];
  #heard: number[] = [];
  #mishaps: readonly Event[][];
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
    this.#mishaps = ["error", "retry", "deadletter", "recovered", "leaselost", "entrieslost", "grouplost"]
      .map((type) => told(subscription, type));
    // Of the broker that publishes, so that it hears the first one too.
    brokers[0].addEventListener("Counted", (event) => void this.#heard.push(event.detail.n));
    this.#publishing = this.#publish();
    // Whoever ends it hears of it.
    this.#publishing.catch(() => {});
  }

  /**
   * Starts it, and resolves once events are handled and heard.
   *
   * @param nth Which master has the events, by what the cluster was when it was made.
   * @param options.kind By which client. @default {"node-redis"}
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
    await flow.goesOn();
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

  /** How many events have been published and answered. */
  get answered(): number {
    return this.#answered;
  }

  /** Resolves once events that are published from now on have been handled and heard. */
  async goesOn(timeout = 20_000): Promise<void> {
    const next = this.#published;
    const reached = (numbers: readonly number[]) => numbers.some((n) => n >= next);
    await until(() => this.#answered > next && reached(this.#handled) && reached(this.#heard), "events flow", timeout);
  }

  /** Ends the publishing, and resolves once all that is stored is settled and heard. */
  async finish(): Promise<Flown> {
    const [publisher] = this.#brokers;
    this.#stopped = true;
    await this.#publishing;
    await settled(publisher, Counted, GROUP, 20_000);
    const stored = (await Array.fromAsync(publisher.history(Counted))).map(({ detail }) => detail.n);
    await until(() => this.#heard.at(-1) === stored.at(-1), "all are heard", 20_000);
    return {
      published: this.#published,
      stored,
      handled: this.#handled,
      heard: this.#heard,
      mishaps: this.#mishaps.flat().map(({ type }) => type),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await Promise.all(this.#brokers.map((broker) => broker.close()));
    await this.#publishing.catch(() => {});
  }
}

/** All numbers up to this one. */
export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, n) => n);
}

/** Resolves once the node is what it is to be. */
export function becomes(node: RedisServer, role: "master" | "slave"): Promise<void> {
  return eventually(async () => (await node.cli("ROLE")).startsWith(role));
}

/**
 * Asserts that each event is stored once and in order, handled and heard; but those that a failover took away.
 *
 * @returns Those.
 */
export function assertFlown({ published, stored, handled, heard }: Flown, { lost }: { lost: boolean }): number[] {
  const kept = new Set(stored);
  assertEquals(stored, upTo(published).filter((n) => kept.has(n)), "stored once, in order");
  const gone = upTo(published).filter((n) => !kept.has(n));
  // A replica has what came first: what it lacks are the last ones that were answered before it took over.
  if (lost) assertEquals(gone, upTo(gone.length).map((nth) => gone[0]! + nth), "lost in one stretch");
  else assertEquals(gone, []);
  const seen = new Set(handled);
  assertEquals(stored.filter((n) => !seen.has(n)), [], "all that are stored are handled");
  assertEquals(
    heard.filter((n, nth) => kept.has(n) && heard.indexOf(n) === nth),
    stored,
    "all that are stored are heard",
  );
  return gone;
}
