import { BrokerClosedError, defineEvent, EventBroker, UncertainPublishError } from "@tidings/broker";
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type {
  EventStore,
  GroupMember,
  Limiter,
  SharedState,
  StreamAdmin,
  StreamSchedule,
} from "../../src/store/mod.ts";

class Counted extends defineEvent("Counted", { retention: { maxLength: 1 } })<{ n: number }> {}

/** A store that stops replying: calls hang, whatever their signals say. */
class HangingStore implements EventStore {
  hangs = false;
  #inner = new InMemoryStore();

  append: EventStore["append"] = (...args) => this.#reply(() => this.#inner.append(...args));
  appendRevised: EventStore["appendRevised"] = (...args) => this.#reply(() => this.#inner.appendRevised(...args));
  revision: EventStore["revision"] = (...args) => this.#reply(() => this.#inner.revision(...args));
  read: EventStore["read"] = (...args) => this.#pages(this.#inner.read(...args));
  readSubject: EventStore["readSubject"] = (...args) => this.#pages(this.#inner.readSubject(...args));

  async *#pages<T>(pages: AsyncIterable<T>): AsyncGenerator<T> {
    for await (const page of pages) yield await this.#reply(() => Promise.resolve(page));
    await this.#reply(() => Promise.resolve());
  }

  async member(...args: Parameters<EventStore["member"]>): Promise<GroupMember> {
    const member = await this.#reply(() => this.#inner.member(...args));
    return {
      consumer: member.consumer,
      claim: (options) => this.#reply(() => member.claim(options)),
      renew: (...args) => this.#reply(() => member.renew(...args)),
      settle: (outcomes) => this.#reply(() => member.settle(outcomes)),
      held: (deliveries) => this.#reply(() => member.held(deliveries)),
      control: () => this.#reply(() => member.control()),
      keep: (delivery, name, text) => this.#reply(() => member.keep(delivery, name, text)),
      kept: (delivery) => this.#reply(() => member.kept(delivery)),
      leave: () => this.#reply(() => member.leave()),
    };
  }

  admin(stream: string): StreamAdmin {
    return this.#hanging(this.#inner.admin(stream));
  }

  schedule(stream: string, layout?: number): StreamSchedule {
    const inner = this.#inner.schedule(stream, layout);
    return {
      add: (...args) => this.#reply(() => inner.add(...args)),
      promote: (...args) => this.#reply(() => inner.promote(...args)),
      state: () => this.#reply(() => inner.state()),
      list: (...args) => this.#pages(inner.list(...args)),
      cancel: (...args) => this.#reply(() => inner.cancel(...args)),
      move: (...args) => this.#reply(() => inner.move(...args)),
      take: (...args) => this.#reply(() => inner.take(...args)),
      taken: (...args) => this.#reply(() => inner.taken(...args)),
    };
  }

  state(stream: string, name: string): SharedState {
    return this.#hanging(this.#inner.state(stream, name));
  }

  limiter(stream: string, name: string): Limiter {
    return this.#hanging(this.#inner.limiter(stream, name));
  }

  #hanging<T extends object>(inner: T): T {
    return new Proxy(inner, {
      get: (target, name) => {
        const method = Reflect.get(target, name) as ((...args: unknown[]) => Promise<unknown>) | undefined;
        if (method === undefined) return undefined;
        return (...args: unknown[]) => this.#reply(() => method.apply(target, args));
      },
    });
  }

  async #reply<T>(call: () => Promise<T>): Promise<T> {
    const reply = await call();
    return this.hangs ? await new Promise<never>(() => {}) : reply;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#inner[Symbol.asyncDispose]();
    await this.#reply(() => Promise.resolve());
  }
}

/** Makes all timers fire this many times sooner, until it is disposed. */
function hurry(factor: number): Disposable {
  const original = globalThis.setTimeout;
  globalThis.setTimeout =
    ((callback: () => void, ms = 0, ...args: unknown[]) =>
      original(callback, ms / factor, ...args as [])) as typeof setTimeout;
  return { [Symbol.dispose]: () => void (globalThis.setTimeout = original) };
}

Deno.test("EventBroker.close() ends although the store never replies, and says so", async () => {
  using _time = hurry(100);
  const store = new HangingStore();
  const broker = new EventBroker(store, { events: [Counted] });
  await broker.publish(Array.from({ length: 200 }, (_, n) => new Counted({ n })));
  const running = Promise.withResolvers<void>();
  const finish = Promise.withResolvers<void>();
  const subscription = await broker.subscribe(Counted, async () => {
    running.resolve();
    await finish.promise;
  }, { group: "group", drainTimeout: 60_000 });
  const pulled = broker.consume(Counted, { group: "pulled", drainTimeout: 1_000 });
  await pulled.next();
  await running.promise;
  broker.addEventListener("Counted", () => {});
  const following = broker.history(Counted, { follow: true });
  await following.next();
  store.hangs = true;
  const closed = [
    broker.idle(),
    broker.history(Counted).next(),
    broker.subscribe(Counted, () => {}, { group: "late" }),
  ].map((promise) => assertRejects(() => promise, BrokerClosedError));
  const publishing = assertRejects(() => broker.publish(new Counted({ n: 200 })), UncertainPublishError);
  finish.resolve();
  const error = await assertRejects(() => broker.close(), AggregateError);
  assertStringIncludes(error.message, "Cannot close the broker cleanly: ");
  assertStringIncludes(error.message, `Cannot close the subscription of group "group" cleanly: `);
  assertStringIncludes(error.message, `the store did not reply within 15000 ms`);
  assertStringIncludes((await publishing).message, "the broker closed before the reply came");
  await Promise.all(closed);
  await assertRejects(() => subscription.closed, Error, "will be redelivered");
  assertEquals(subscription.info().state, "closed");
  assert((await broker.health()).problems.includes("The broker is closed"));
});
