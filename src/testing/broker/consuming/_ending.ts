import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { BrokerClosedError, EventBroker, PermanentError } from "../../../broker/mod.ts";
import type { EventStore } from "../../../store/mod.ts";
import { FaultyStore } from "../../_faulty_store.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  Other,
  told,
  until,
  within,
} from "../../_broker_bench.ts";

/** Contracts of closing without the store, and of `subscription.info()`. */
export const ending: readonly BrokerContract[] = [
  contract(
    "",
    "subscription.info() counts held, waiting and running deliveries, and shows the state",
    async (bench) => {
      const broker = await bench.connect([Counted, Other]);
      const gate = new Gate();
      const before = Date.now();
      const subscription = await broker.subscribe([Counted, Other], () => gate.opened, {
        group: "group",
        concurrency: 2,
        prefetch: 5,
      });
      await broker.publish(counted(8));
      await until(() => subscription.info().held === 5, "five deliveries are held");
      const { types, ...all } = subscription.info();
      assertEquals(all, { group: "group", state: "reading", held: 5, waiting: 3, running: 2, lastError: undefined });
      const [first, second] = types;
      const { consumer, leaseRenewedAt, lastProgressAt, ...rest } = first!;
      const counts = { held: 5, waiting: 3, running: 2, stalled: false, paused: undefined };
      assertEquals(rest, { eventType: "Counted", eventTypes: ["Counted"], ...counts });
      for (const time of [leaseRenewedAt.getTime(), lastProgressAt.getTime()]) {
        assert(time >= before - 1 && time <= Date.now());
      }
      assertEquals(consumer, (await groupOf(broker, Counted)).consumers[0]!.name);
      assertEquals([second!.eventType, second!.held], ["Other", 0]);
      const closing = subscription.close();
      assertEquals(subscription.info().state, "closing");
      gate.open();
      await closing;
      assertEquals([subscription.info().state, subscription.info().held], ["closed", 0]);
    },
  ),

  contract(
    "12, 32",
    "close() rejects when the store is unreachable, and says that deliveries will be redelivered",
    async (bench) => {
      const store = { isAway: false };
      const away = () => {
        if (store.isAway) throw new Error("the server is unreachable");
      };
      const broker = new EventBroker(failingMembers(await bench.store(), away), { events: [Counted] });
      const options = { group: "group", lease: 300 } as const;
      const controller = new AbortController();
      const subscription = await broker.subscribe(Counted, () => {}, options);
      const byAbort = await broker.subscribe(Counted, () => {}, {
        ...options,
        group: "other",
        signal: controller.signal,
      });
      store.isAway = true;
      controller.abort();
      await assertRejects(() => byAbort.closed, Error, "the server is unreachable");
      const error = await assertRejects(() => subscription.close(), Error, "the server is unreachable");
      assertStringIncludes(error.message, "will be redelivered");
      assertEquals(subscription.info().lastError?.error, error);
      assertEquals(subscription.info().state, "closed");
      await broker.close();
      await assertRejects(() => broker.publish(counted(1)[0]!), Error, "closed");
    },
    "store",
  ),

  contract("", "a listener that is added right after subscribe() hears about every delivery", async (bench) => {
    const broker = await bench.broker();
    await broker.publish(counted(3));
    const subscription = await broker.subscribe(Counted, () => {
      throw new PermanentError("no");
    }, { group: "group" });
    const dead = told(subscription, "deadletter");
    await broker.idle({ group: "group" });
    await subscription.close();
    assertEquals(dead.length, 3);
  }),

  contract("32", "close() closes everything once, although parts of the store fail or do not reply", async (bench) => {
    let disposals = 0;
    const broken = await bench.store();
    const faulty = new FaultyStore(broken);
    const broker = new EventBroker(
      {
        append: (...args) => broken.append(...args),
        appendRevised: (...args) => broken.appendRevised(...args),
        revision: (...args) => broken.revision(...args),
        readSubject: (...args) => broken.readSubject(...args),
        read: (...args) => faulty.read(...args),
        member: (...args) => broken.member(...args),
        admin: (...args) => broken.admin(...args),
        state: (...args) => broken.state(...args),
        schedule: (...args) => broken.schedule(...args),
        limiter: (...args) => broken.limiter(...args),
        [Symbol.asyncDispose]: () => {
          disposals++;
          // Thrown and not rejected: a store of a user may do either.
          throw new RangeError("the store cannot be disposed");
        },
      },
      { events: [Counted] },
    );
    // A listener that cannot find the end of its stream.
    const hanging = new Gate();
    faulty.beforeRead = hanging.opened;
    broker.addEventListener("Counted", () => {});
    const reading = broker.history(Counted).next();
    const ended = assertRejects(() => reading, BrokerClosedError);
    const subscription = await broker.subscribe(Counted, () => {}, { group: "group" });
    const events = [told(broker, "close"), told(subscription, "close")];
    const closings = [broker.close(), broker[Symbol.asyncDispose](), broker.close()];
    for (const closing of closings) {
      await within(assertRejects(() => closing, RangeError, "cannot be disposed"), "the broker to close");
    }
    await within(ended, "the reader to end");
    await subscription.closed;
    assertEquals([disposals, ...events.map(({ length }) => length)], [1, 1, 1]);
    hanging.open();
  }, "store"),
];

/** A store whose members call `away` before they leave. */
function failingMembers(store: EventStore, away: () => void): EventStore {
  const faulty = new FaultyStore(store);
  faulty.onMember = (member) => ({
    consumer: member.consumer,
    claim: (options) => member.claim(options),
    renew: (held, options) => member.renew(held, options),
    settle: (outcomes) => member.settle(outcomes),
    held: (deliveries) => member.held(deliveries),
    control: () => member.control(),
    keep: (delivery, name, text) => member.keep(delivery, name, text),
    kept: (delivery) => member.kept(delivery),
    leave: async () => {
      away();
      return await member.leave();
    },
  });
  return faulty;
}
