import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import {
  type DeadLetterEvent,
  type EventBroker,
  type HeldEvent,
  PermanentError,
  type SubscribeOptions,
  type Subscription,
} from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { type GroupMember, MAX_WAITING, StoreError } from "../../../store/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  groupOf,
  LEASE,
  lettersOf,
  settled,
  sleep,
  SOON,
  STREAM,
  told,
  until,
} from "../../_broker_bench.ts";
import { FaultyStore } from "../../_faulty_store.ts";

class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string; n: number }> {}

const HOLD = { group: "group", whenDead: "hold-key" } as const satisfies SubscribeOptions<Counted>;
const KEYED = { ...HOLD, key: ({ detail }: Counted) => detail.key! } as const;

/** A handler that notes what it has handled, and refuses events for good as long as they are in `fatal`. */
class Handling {
  readonly handled: string[] = [];
  readonly fatal: Set<number>;

  constructor(...fatal: readonly number[]) {
    this.fatal = new Set(fatal);
  }

  readonly handler = ({ detail: { n, key } }: Counted): void => {
    if (this.fatal.has(n)) throw new PermanentError("no good");
    this.handled.push(`${key}${n}`);
  };
}

/** Events whose keys are in turn those of the text. */
const keyed = (keys: string, from = 0) => counted(keys.length, from, (n) => keys[n - from]!);

/** Waits until the group has settled all events but those that wait for their key. */
async function quiet(broker: EventBroker<typeof Counted>, waiting: number): Promise<void> {
  await until(async () => {
    const { pending, lag, held } = await groupOf(broker, Counted);
    return lag === 0 && pending === waiting && held.waiting === waiting;
  }, `${waiting} events wait`);
}

const redrive = (broker: EventBroker<typeof Counted>) => broker.redrive(Counted, { group: "group" });

export const holding: readonly BrokerContract[] = [
  contract(
    "43",
    "later events of a dead letter's key wait until it is redriven, and other keys go on",
    async (bench) => {
      const broker = await bench.broker();
      const { handler, handled, fatal } = new Handling(1);
      const subscription = await broker.subscribe(Counted, handler, { ...KEYED, concurrency: 4 });
      const held = told<HeldEvent>(subscription, "held");
      const events = keyed("aababa");
      await broker.publish(events);
      await quiet(broker, 2);
      assertEquals(handled, ["a0", "b2", "b4"]);
      assertEquals(held.map(({ eventType, position, key }) => [eventType, position, key]), [
        ["Counted", events[3]!.position, "a"],
        ["Counted", events[5]!.position, "a"],
      ]);
      const group = await groupOf(broker, Counted);
      assertEquals(group.held, { keys: 1, waiting: 2, from: events[1]!.position });
      assertEquals([group.whenDead, group.deadLetters], ["hold-key", 1]);
      const [letter] = await lettersOf(broker, Counted);
      assertEquals([letter!.key, letter!.event!.id], ["a", events[1]!.id]);
      // The group has caught up: no consumer can handle what waits.
      await broker.idle({ group: "group", signal: AbortSignal.timeout(5_000) });
      await broker.publish(keyed("ab", 6));
      await quiet(broker, 3);
      fatal.clear();
      assertEquals(await redrive(broker), 1);
      await settled(broker, Counted);
      assertEquals(handled.slice(3), ["b7", "a1", "a3", "a5", "a6"]);
      assertEquals((await groupOf(broker, Counted)).held, { keys: 0, waiting: 0, from: undefined });
    },
  ),

  contract("43", "discardDeadLetters() lets the events go on that wait behind a letter", async (bench) => {
    const broker = await bench.broker();
    const { handler, handled } = new Handling(0, 3);
    await broker.subscribe(Counted, handler, KEYED);
    await broker.publish(keyed("aaaba"));
    await quiet(broker, 3);
    const [letter] = await lettersOf(broker, Counted);
    assertEquals(await broker.discardDeadLetters(Counted, { group: "group", ids: [letter!.id] }), 1);
    // The events of the other key go on, and one of them dies.
    await settled(broker, Counted);
    assertEquals(handled, ["a1", "a2", "a4"]);
    assertEquals((await lettersOf(broker, Counted)).map(({ key }) => key), ["b"]);
  }),

  contract("43", "the subject is the key of classes that take it from the detail", async (bench) => {
    const broker = await bench.connect([BidPlaced]);
    const handled: number[] = [];
    let fatal = true;
    await broker.subscribe(BidPlaced, ({ detail: { n } }) => {
      if (n === 0 && fatal) throw new PermanentError("no good");
      handled.push(n);
    }, { group: "group", whenDead: "hold-key", concurrency: 4 });
    const bid = (auctionId: string, n: number) => new BidPlaced({ auctionId, n });
    await broker.publish([bid("a", 0), bid("a", 1), bid("b", 2), bid("a", 3)]);
    await until(async () => (await groupOf(broker, BidPlaced)).held.waiting === 2, "two bids wait");
    assertEquals([handled, (await lettersOf(broker, BidPlaced))[0]!.key], [[2], "a"]);
    fatal = false;
    await broker.redrive(BidPlaced, { group: "group" });
    await settled(broker, BidPlaced);
    assertEquals(handled, [2, 0, 1, 3]);
  }),

  contract("24, 43", "an entry that cannot be decoded holds the key of its subject", async (bench) => {
    const [broker, store] = [await bench.connect([BidPlaced]), await bench.store()];
    const handled: number[] = [];
    await broker.publish(new BidPlaced({ auctionId: "b", n: 0 }));
    await store.append("events:BidPlaced", [["id", "odd", "payload", "no JSON", "subject", "a"]]);
    await broker.publish([new BidPlaced({ auctionId: "a", n: 1 }), new BidPlaced({ auctionId: "b", n: 2 })]);
    const handler = ({ detail }: BidPlaced) => void handled.push(detail.n);
    await broker.subscribe(BidPlaced, handler, { group: "group", whenDead: "hold-key" });
    await until(async () => (await groupOf(broker, BidPlaced)).held.waiting === 1, "a bid waits");
    const [letter] = await lettersOf(broker, BidPlaced);
    assertEquals([handled, letter!.key, letter!.reason], [[0, 2], "a", "undecodable"]);
    await broker.discardDeadLetters(BidPlaced, { group: "group" });
    await settled(broker, BidPlaced);
    assertEquals(handled, [0, 2, 1]);
  }, "store"),

  contract(
    "9, 43",
    "events that are claimed before their key is held wait, whatever the concurrency",
    async (bench) => {
      const broker = await bench.broker();
      const gate = new Gate();
      const { handler, handled, fatal } = new Handling(0);
      await broker.publish(keyed("abaaaab"));
      const blocked = async (event: Counted) => {
        await gate.opened;
        handler(event);
      };
      const subscription = await broker.subscribe(Counted, blocked, { ...KEYED, concurrency: 8 });
      await until(() => subscription.info().held === 7, "all events are claimed");
      gate.open();
      await quiet(broker, 4);
      assertEquals(handled, ["b1", "b6"]);
      fatal.clear();
      await redrive(broker);
      await settled(broker, Counted);
      assertEquals(handled.slice(2), ["a0", "a2", "a3", "a4", "a5"]);
    },
  ),

  contract("9, 43", "each key stays in order when letters are redriven while its events come", async (bench) => {
    const broker = await bench.broker();
    const [keys, count] = [6, 300];
    const handled = new Map<string, number[]>();
    const failures = new Map<number, number>();
    const handler = async ({ detail: { n, key } }: Counted) => {
      if (n % 3 === 0) await Promise.resolve();
      const failed = failures.get(n) ?? 0;
      // Every seventh event dies once, every eleventh twice.
      if (failed < (n % 7 === 0 ? 1 : 0) + (n % 11 === 0 ? 2 : 0)) {
        failures.set(n, failed + 1);
        throw new PermanentError("no good");
      }
      handled.set(key!, [...handled.get(key!) ?? [], n]);
    };
    const subscription = await broker.subscribe(Counted, handler, { ...KEYED, concurrency: 5, prefetch: 40 });
    const redriven: Promise<number>[] = [];
    subscription.addEventListener("deadletter", () => redriven.push(redrive(broker)));
    for (let n = 0; n < count; n += 10) {
      await broker.publish(counted(10, n, (n) => `k${n % keys}`));
      if (n % 50 === 0) await sleep(5);
    }
    const isDone = () => [...handled.values()].reduce((sum, { length }) => sum + length, 0) >= count;
    await until(
      async () => {
        if (isDone()) return true;
        // A letter that was written after the list was read waits for the next call.
        if ((await groupOf(broker, Counted)).deadLetters > 0) redriven.push(redrive(broker));
        return false;
      },
      "all events are handled",
      20_000,
    );
    await Promise.all(redriven);
    for (const [key, numbers] of handled) {
      assertEquals(numbers, numbers.toSorted((a, b) => a - b), `the order of ${key}`);
      assertEquals(new Set(numbers).size, numbers.length, `each event of ${key} is handled once`);
    }
  }),

  contract("17, 43", "a consumer that takes over has later events wait, though its predecessor died", async (bench) => {
    const store = await bench.store();
    const broker = await bench.broker();
    await broker.publish(keyed("aab"));
    const error = { name: "Error", message: "no good" };
    const member = await store.member(STREAM, "group", {
      consumer: "mortal",
      lease: LEASE,
      startFrom: "beginning",
      whenDead: "hold-key",
    });
    const { records } = await member.claim({ limit: 3, signal: AbortSignal.timeout(5_000) });
    await member.settle([{ kind: "dead", ...records[0]!, reason: "permanent", attempts: 1, error, key: "a" }]);
    const { handler, handled } = new Handling();
    await broker.subscribe(Counted, handler, KEYED);
    bench.under.clock?.advance(LEASE);
    await quiet(broker, 1);
    assertEquals(handled, ["b2"]);
    await redrive(broker);
    await settled(broker, Counted);
    assertEquals(handled, ["b2", "a0", "a1"]);
  }, "store"),

  contract("22, 43", "a key is held when the reply to its letter or to a waiting event is lost", async (bench) => {
    const lost: string[] = [];
    const flaky = (member: GroupMember): GroupMember => ({
      consumer: member.consumer,
      claim: (options) => member.claim(options),
      renew: (held, options) => member.renew(held, options),
      control: () => member.control(),
      keep: (delivery, name, text) => member.keep(delivery, name, text),
      kept: (delivery) => member.kept(delivery),
      leave: () => member.leave(),
      held: async (deliveries) => {
        if (lost.push("held") <= 1) throw new StoreError("transient", "the server is loading");
        return await member.held(deliveries);
      },
      settle: async (outcomes) => {
        const refused = await member.settle(outcomes);
        const kind = outcomes.find(({ kind }) => (kind === "dead" || kind === "wait") && !lost.includes(kind))?.kind;
        if (kind !== undefined) {
          lost.push(kind);
          throw new StoreError("uncertain", "the answer was lost");
        }
        return refused;
      },
    });
    const broker = await bench.over((store) => {
      const faulty = new FaultyStore(store);
      faulty.onMember = flaky;
      return faulty;
    }, { events: [Counted] });
    const { handler, handled, fatal } = new Handling(0);
    const subscription = await broker.subscribe(Counted, handler, { ...KEYED, prefetch: 2 });
    const letters = told<DeadLetterEvent>(subscription, "deadletter");
    for (let n = 0; n < 6; n++) await broker.publish(keyed("aab"[n % 3]!, n));
    await quiet(broker, 3);
    assertEquals([handled, letters.length], [["b2", "b5"], 1]);
    assertEquals(["dead", "held", "wait"].filter((call) => !lost.includes(call)), []);
    fatal.clear();
    await redrive(broker);
    await settled(broker, Counted);
    assertEquals(handled.slice(2), ["a0", "a1", "a3", "a4"]);
  }, "store"),

  contract(
    "13, 43",
    "closing while a key is held loses nothing, and the next consumer has its events wait",
    async (bench) => {
      const broker = await bench.broker();
      const { handler, handled, fatal } = new Handling(0);
      const first = await broker.subscribe(Counted, handler, KEYED);
      await broker.publish(keyed("aaa"));
      await until(() => fatal.size === 1 && first.info().held < 3, "the first event dies");
      await first.close();
      const second = await broker.subscribe(Counted, handler, KEYED);
      await broker.publish(keyed("ab", 3));
      await quiet(broker, 3);
      assertEquals(handled, ["b4"]);
      fatal.clear();
      await redrive(broker);
      await settled(broker, Counted);
      assertEquals(handled, ["b4", "a0", "a1", "a2", "a3"]);
      await second.close();
    },
  ),

  contract("29, 43", "rewind() to a letter lets its event and the later ones come again", async (bench) => {
    const broker = await bench.broker();
    const { handler, handled, fatal } = new Handling(1);
    await broker.subscribe(Counted, handler, KEYED);
    const events = keyed("aaab");
    await broker.publish(events);
    await quiet(broker, 1);
    fatal.clear();
    await broker.rewind(Counted, { group: "group", to: events[1]!.position! });
    await settled(broker, Counted);
    assertEquals(handled.filter((text) => text.startsWith("a")), ["a0", "a1", "a2"]);
    assertEquals((await groupOf(broker, Counted)).held.keys, 0);
  }),

  contract("4, 43", "a retry that waits for its key keeps its attempts", async (bench) => {
    const broker = await bench.broker();
    const attempts: string[] = [];
    let fatal = true;
    const handler = ({ detail: { n } }: Counted, { attempt }: { readonly attempt: number }) => {
      attempts.push(`${n} ${attempt}`);
      if (fatal && n === 0 && attempt === 2) throw new PermanentError("no good");
      if (fatal) throw new Error("not now");
    };
    await broker.subscribe(Counted, handler, { ...KEYED, retry: SOON });
    await broker.publish(keyed("aa"));
    await quiet(broker, 1);
    fatal = false;
    await redrive(broker);
    await settled(broker, Counted);
    assertEquals(attempts, ["0 1", "0 2", "0 1", "1 1"]);
  }),

  contract("31, 43", "an event becomes a dead letter of the reason held when too many wait", async (bench) => {
    const full = (member: GroupMember): GroupMember => ({
      consumer: member.consumer,
      claim: (options) => member.claim(options),
      renew: (held, options) => member.renew(held, options),
      control: () => member.control(),
      keep: (delivery, name, text) => member.keep(delivery, name, text),
      kept: (delivery) => member.kept(delivery),
      leave: () => member.leave(),
      settle: (outcomes) => member.settle(outcomes),
      held: async (deliveries) => ({ ...await member.held(deliveries), room: 1 }),
    });
    const broker = await bench.over((store) => {
      const faulty = new FaultyStore(store);
      faulty.onMember = full;
      return faulty;
    }, { events: [Counted] });
    const { handler, handled, fatal } = new Handling(0);
    const subscription = await broker.subscribe(Counted, handler, KEYED);
    const letters = told<DeadLetterEvent>(subscription, "deadletter");
    await broker.publish(keyed("a"));
    await quiet(broker, 0);
    const events = keyed("aaba", 1);
    await broker.publish(events);
    await quiet(broker, 1);
    assertEquals(handled, ["b3"]);
    assertEquals(letters.slice(1).map(({ reason, position }) => [reason, position]), [
      ["held", events[1]!.position],
      ["held", events[3]!.position],
    ]);
    assertStringIncludes(String(letters[1]!.error), `${MAX_WAITING} events of the group wait already`);
    assertEquals((await lettersOf(broker, Counted)).map(({ key, reason }) => [key, reason]), [
      ["a", "permanent"],
      ["a", "held"],
      ["a", "held"],
    ]);
    fatal.clear();
    await redrive(broker);
    await settled(broker, Counted);
    assertEquals(handled.slice(1), ["a0", "a1", "a2", "a4"]);
  }, "store"),

  contract(
    "43",
    "subscribe() refuses another whenDead than that of the group, and alterGroup() changes it",
    async (bench) => {
      const [broker, other] = [await bench.broker(), await bench.broker()];
      const { handler, handled } = new Handling(0);
      const options = { group: "group", key: KEYED.key };
      const subscription = await broker.subscribe(Counted, handler, KEYED);
      await broker.publish(keyed("aa"));
      await quiet(broker, 1);
      const refused = await assertRejects(() => other.subscribe(Counted, handler, options), StoreError);
      assertEquals(refused.kind, "policy-differs");
      assertStringIncludes(refused.message, 'with whenDead "continue": the group has "hold-key"');
      await assertRejects(() => other.consume(Counted, { group: "group" }).next(), StoreError, "hold-key");
      const alter = (whenDead?: "continue" | "hold-key") =>
        other.alterGroup(Counted, { group: "group", ...(whenDead && { whenDead }) });
      assertEquals((await assertRejects(() => alter("continue"), StoreError)).kind, "group-busy");
      await subscription.close();
      await alter();
      assertEquals((await groupOf(broker, Counted)).whenDead, "hold-key");
      await alter("continue");
      await other.subscribe(Counted, handler, options);
      await settled(broker, Counted);
      assertEquals([handled, (await groupOf(broker, Counted)).whenDead], [["a1"], "continue"]);
    },
  ),

  contract("43", "subscribe() refuses hold-key without keys, and any other value", async (bench) => {
    const broker = await bench.broker();
    const subscribe = (options: object): Promise<Subscription> =>
      broker.subscribe(Counted, () => {}, { group: "group", ...options });
    await assertRejects(
      () => subscribe({ whenDead: "hold-key" }),
      TypeError,
      'Cannot subscribe to Counted with whenDead "hold-key": its events have no key; give the option key, or the option ' +
        "subject in the class",
    );
    for (const whenDead of ["hold", "", null, 1, true]) {
      await assertRejects(() => subscribe({ whenDead }), TypeError, 'give "continue" or "hold-key"');
      await assertRejects(
        () => broker.alterGroup(Counted, { group: "group", whenDead: whenDead as "continue" }),
        TypeError,
        'give "continue" or "hold-key"',
      );
    }
    const bids = await bench.connect([BidPlaced, Counted]);
    await assertRejects(
      () => bids.subscribe([BidPlaced, Counted], () => {}, { group: "group", whenDead: "hold-key" }),
      TypeError,
      "Cannot subscribe to Counted",
    );
  }),

  contract("43", "an event whose key cannot be told holds no key", async (bench) => {
    const broker = await bench.broker();
    const handled: number[] = [];
    const key = ({ detail }: Counted): string => {
      if (detail.n === 0) throw new PermanentError("no key");
      return "a";
    };
    await broker.subscribe(Counted, ({ detail }) => void handled.push(detail.n), { ...HOLD, key });
    await broker.publish(counted(3));
    await settled(broker, Counted);
    const [letter] = await lettersOf(broker, Counted);
    assertEquals([handled, letter!.key, (await groupOf(broker, Counted)).held.keys], [[1, 2], undefined, 0]);
  }),

  contract("43", "several consumers of a group have the events of a held key wait", async (bench) => {
    const brokers = [await bench.broker(), await bench.broker(), await bench.broker()];
    const [broker] = brokers as [EventBroker<typeof Counted>];
    const { handler, handled, fatal } = new Handling(0);
    for (const each of brokers) await each.subscribe(Counted, handler, KEYED);
    await broker.publish(keyed("a"));
    await quiet(broker, 0);
    for (let n = 1; n < 30; n += 3) await broker.publish(keyed("aba", n));
    await quiet(broker, 20);
    assert(handled.every((text) => text.startsWith("b")), `handled: ${handled}`);
    fatal.clear();
    assertEquals(await redrive(broker), 1);
    await settled(broker, Counted);
    assertEquals(handled.length, 31);
  }),
];
