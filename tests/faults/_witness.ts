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
/** What a subscription tells of itself when something befell it or its deliveries. */
export const MISHAPS = [
  "error",
  "retry",
  "deadletter",
  "recovered",
  "leaselost",
  "entrieslost",
  "grouplost",
  "close",
] as const;

/** Somebody who publishes and consumes while a store is in a state, and tells what that was like. */
export class Witness implements AsyncDisposable {
  #broker: Broker;
  /** Has given up long before the state ends. */
  #impatient: Broker;
  #subscription!: Subscription;
  #events = Array.from({ length: 6 }, (_, n) => new Noted({ n }));
  #handled: string[] = [];
  #attempts: number[] = [];
  #gate = new Gate();
  #waits: (Event & { error: Error; delay: number })[] = [];
  #mishaps: Event[][] = [];
  #publishing: Promise<unknown> = Promise.resolve();
  #refusal: Error | undefined;

  private constructor(broker: Broker, impatient: Broker) {
    this.#broker = broker;
    this.#impatient = impatient;
  }

  /** @param open Opens one more broker over the same data. */
  static async open(open: (options: BrokerOptions<typeof Noted>) => Promise<Broker>): Promise<Witness> {
    const broker = await open({ events: [Noted], publishTimeout: 30_000 });
    return new Witness(broker, await open({ events: [Noted], publishTimeout: IMPATIENT }));
  }

  /** Publishes, consumes, and resolves in the middle of a handler. */
  async begin(): Promise<void> {
    const handler = async ({ id, detail }: Noted, { attempt }: { readonly attempt: number }) => {
      this.#handled.push(id);
      this.#attempts.push(attempt);
      if (detail.n === 2) await this.#gate.opened;
    };
    this.#subscription = await this.#broker.subscribe(Noted, handler, { group: "group", concurrency: 4 });
    this.#waits = told(this.#subscription, "reconnect");
    this.#mishaps = MISHAPS.map((type) => told(this.#subscription, type));
    const [first, second, held] = this.#events;
    await this.#broker.publish(first!);
    await this.#impatient.publish(second!);
    await settled(this.#broker, Noted);
    await this.#broker.publish(held!);
    await until(() => this.#handled.includes(held!.id), "a handler is at work");
  }

  /** In the state: one publish waits, one is refused, and what a handler has to say of its end cannot be said. */
  async endure({ says, consumersGoOn }: Pick<State, "says" | "consumersGoOn">): Promise<void> {
    this.#gate.open();
    this.#publishing = this.#broker.publish(this.#events[3]!);
    this.#publishing.catch(() => {});
    const refused = this.#events[4]!;
    const toldWhy = async () => {
      const began = performance.now();
      this.#refusal = await assertRejects(() => this.#impatient.publish(refused), Error);
      assertLess(performance.now() - began, IMPATIENT + 2_000);
      return says === undefined ? this.#refusal instanceof UncertainPublishError : says.test(this.#refusal.message);
    };
    // On a busy machine the first refusal may come before the server has said why.
    await until(toldWhy, "the refusal says why").catch((cause) => {
      throw new Error(`${cause.message}: ${this.#refusal?.message}`, { cause });
    });
    if (consumersGoOn) {
      await until(async () => (await groupOf(this.#broker, Noted)).pending === 0, "the handler's end is settled");
    } else if (says !== undefined) {
      await until(() => this.#waits.some(({ error }) => says.test(error.message)), "the subscription is told");
    }
  }

  /** After the state: everything is there once, was handled once, and was counted as one attempt. */
  async recover(): Promise<void> {
    await within(this.#publishing, "what was published meanwhile", 15_000);
    const [, , , , refused, last] = this.#events;
    if (!(this.#refusal instanceof UncertainPublishError)) assertSame(await this.#stored(), this.#events.slice(0, 4));
    // It may still wait before it tries again, longer than its patience lasts.
    await insist(() => this.#impatient.publish(refused!), isTooLate);
    await insist(() => this.#impatient.publish(last!), isTooLate);
    assertSame(await this.#stored(), this.#events);
    await until(() => this.#handled.length >= 6, "all are handled");
    await settled(this.#broker, Noted);
    // What was handled is not handled again, however long its acknowledgement took.
    assertSame(this.#handled, this.#events);
    assertEquals(this.#attempts, [1, 1, 1, 1, 1, 1]);
    assertEquals(this.#mishaps.map((events) => events.length), MISHAPS.map(() => 0));
    assertLess(this.#waits.length, 40, `it does not back off: ${this.#waits.map(({ delay }) => delay)}`);
  }

  async #stored(): Promise<string[]> {
    return (await Array.fromAsync(this.#broker.history(Noted))).map(({ id }) => id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([this.#broker.close(), this.#impatient.close()]);
  }
}
