import { assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  type BrokerOptions,
  defineEvent,
  type EventBroker,
  type Subscription,
  UncertainPublishError,
} from "@tidings/broker";
import { assertSame, Gate, groupOf, settled, told, until, within } from "../../src/testing/_broker_bench.ts";
import { insist, isTooLate } from "./_insist.ts";
import type { State } from "./_states.ts";

class Noted extends defineEvent("Noted")<{ n: number }> {}
type Broker = EventBroker<typeof Noted>;

const IMPATIENT = 400;
/** Lifecycle events of a subscription that a temporary refusal must not cause. */
export const UNWANTED = [
  "error",
  "retry",
  "deadletter",
  "recovered",
  "leaselost",
  "entrieslost",
  "grouplost",
  "close",
] as const;

/** Publishes and consumes before, in and after a state of a store, and asserts that nothing is lost or repeated. */
export class Witness implements AsyncDisposable {
  #broker: Broker;
  /** Its publishes time out before the state ends. */
  #impatient: Broker;
  #subscription!: Subscription;
  #events = Array.from({ length: 6 }, (_, n) => new Noted({ n }));
  #handled: string[] = [];
  #attempts: number[] = [];
  #gate = new Gate();
  #waits: (Event & { error: Error; delay: number })[] = [];
  #unwanted: Event[][] = [];
  #publishing: Promise<unknown> = Promise.resolve();
  #refusal: Error | undefined;

  private constructor(broker: Broker, impatient: Broker) {
    this.#broker = broker;
    this.#impatient = impatient;
  }

  /** @param open Opens another broker over the same data. */
  static async open(open: (options: BrokerOptions<typeof Noted>) => Promise<Broker>): Promise<Witness> {
    const broker = await open({ events: [Noted], publishTimeout: 30_000 });
    return new Witness(broker, await open({ events: [Noted], publishTimeout: IMPATIENT }));
  }

  /** Publishes and consumes; resolves while a handler runs. */
  async begin(): Promise<void> {
    const handler = async ({ id, detail }: Noted, { attempt }: { readonly attempt: number }) => {
      this.#handled.push(id);
      this.#attempts.push(attempt);
      if (detail.n === 2) await this.#gate.opened;
    };
    this.#subscription = await this.#broker.subscribe(Noted, handler, { group: "group", concurrency: 4 });
    this.#waits = told(this.#subscription, "reconnect");
    this.#unwanted = UNWANTED.map((type) => told(this.#subscription, type));
    const [first, second, held] = this.#events;
    await this.#broker.publish(first!);
    await this.#impatient.publish(second!);
    await settled(this.#broker, Noted);
    await this.#broker.publish(held!);
    await until(() => this.#handled.includes(held!.id), "a handler runs");
  }

  /** In the state: one publish waits, one is refused, and the running handler ends but cannot be settled. */
  async endure({ says, consumersGoOn }: Pick<State, "says" | "consumersGoOn">): Promise<void> {
    this.#gate.open();
    this.#publishing = this.#broker.publish(this.#events[3]!);
    this.#publishing.catch(() => {});
    const refused = this.#events[4]!;
    const isRefused = async () => {
      const began = performance.now();
      this.#refusal = await assertRejects(() => this.#impatient.publish(refused), Error);
      assertLess(performance.now() - began, IMPATIENT + 2_000);
      return says === undefined ? this.#refusal instanceof UncertainPublishError : says.test(this.#refusal.message);
    };
    // On a busy machine the first publish may time out before the server has replied.
    await until(isRefused, "the error of publish() has the reply of the server").catch((cause) => {
      throw new Error(`${cause.message}: ${this.#refusal?.message}`, { cause });
    });
    if (consumersGoOn) {
      await until(async () => (await groupOf(this.#broker, Noted)).pending === 0, "the ended handler is settled");
    } else if (says !== undefined) {
      await until(
        () => this.#waits.some(({ error }) => says.test(error.message)),
        "the subscription reports the reply of the server",
      );
    }
  }

  /** After the state: each event is stored once, and was handled once in its first attempt. */
  async recover(): Promise<void> {
    await within(this.#publishing, "the publish that waited", 15_000);
    const [, , , , refused, last] = this.#events;
    if (!(this.#refusal instanceof UncertainPublishError)) assertSame(await this.#stored(), this.#events.slice(0, 4));
    // The wait before the next try may be longer than the publish timeout.
    await insist(() => this.#impatient.publish(refused!), isTooLate);
    await insist(() => this.#impatient.publish(last!), isTooLate);
    assertSame(await this.#stored(), this.#events);
    await until(() => this.#handled.length >= 6, "all events are handled");
    await settled(this.#broker, Noted);
    // A handled event is not handled again, however late it was acknowledged.
    assertSame(this.#handled, this.#events);
    assertEquals(this.#attempts, [1, 1, 1, 1, 1, 1]);
    assertEquals(this.#unwanted.map((events) => events.length), UNWANTED.map(() => 0));
    assertLess(this.#waits.length, 40, `reconnecting does not back off: ${this.#waits.map(({ delay }) => delay)}`);
  }

  async #stored(): Promise<string[]> {
    return (await Array.fromAsync(this.#broker.history(Noted))).map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#broker.close(), this.#impatient.close()]);
  }
}
