import { assert, assertEquals, assertRejects } from "@std/assert";
import { type AttemptEnd, type BrokerErrorEvent, type BrokerObserver, PermanentError } from "../../../broker/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  Gate,
  lettersOf,
  settled,
  SOON,
  told,
  until,
} from "../../_broker_bench.ts";

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/** Records the calls that a broker makes to its observers. */
class Log implements BrokerObserver {
  readonly published: unknown[] = [];
  readonly attempts: { n: number; attempt: number; kind: string; end: AttemptEnd }[] = [];
  readonly outcomes: string[] = [];
  readonly operations: unknown[] = [];
  readonly lifecycleEvents: string[] = [];

  publishing: Required<BrokerObserver>["publishing"] = (events) => ({
    traceparents: events.map(() => TRACEPARENT),
    ended: ({ error }) => void this.published.push([events.length, error]),
  });

  handling: Required<BrokerObserver>["handling"] = ({ event, attempt }, kind) => ({
    ended: (end) => void this.attempts.push({ n: (event as Counted).detail.n, attempt, kind, end }),
  });

  settling: Required<BrokerObserver>["settling"] = ({ eventType, group, outcomes }) => ({
    ended: ({ error, refused }) => {
      assertEquals([error, refused], [undefined, []]);
      for (const { outcome, delivery, traceparent } of outcomes) {
        assertEquals(traceparent, TRACEPARENT);
        this.outcomes.push(`${eventType} ${group} ${(delivery?.event as Counted | undefined)?.detail.n} ${outcome}`);
      }
    },
  });

  operating: Required<BrokerObserver>["operating"] = ({ name, eventType, group }) => ({
    ended: ({ error, count }) => void this.operations.push([name, eventType, group, count, error !== undefined]),
  });

  lifecycle: Required<BrokerObserver>["lifecycle"] = ({ type }, { group }) =>
    void this.lifecycleEvents.push(`${type} ${group}`);
}

export const observing: readonly BrokerContract[] = [
  contract("36", "an observer is told how each publish, attempt and settlement ended", async (bench) => {
    const broker = await bench.broker();
    const log = new Log();
    broker.observe(log);
    await broker.subscribe(Counted, ({ detail: { n } }, { attempt }) => {
      if (n === 1 && attempt === 1) throw new Error("the first time fails");
      if (n === 2) throw new PermanentError("never");
    }, { group: "group", retry: SOON });
    const events = counted(3);
    await broker.publish(events[0]!);
    await broker.publish(events.slice(1));
    await settled(broker, Counted);
    await until(() => log.outcomes.length === 4, "the observer was told of all outcomes");
    assertEquals(log.published, [[1, undefined], [2, undefined]]);
    const ends = log.attempts.map(({ n, attempt, kind, end }) => `${n} ${attempt} ${kind} ${end.outcome}`);
    assertEquals(ends.toSorted(), ["0 1 handler ack", "1 1 handler retry", "1 2 handler ack", "2 1 handler dead"]);
    assert(log.attempts.every(({ end }) => (end.error === undefined) === (end.outcome === "ack")));
    assertEquals(log.outcomes.toSorted(), [
      "Counted group 0 ack",
      "Counted group 1 ack",
      "Counted group 1 retry",
      "Counted group 2 dead",
    ]);
    assertEquals(log.lifecycleEvents.toSorted(), ["deadletter group", "retry group"]);
  }),

  contract("36", "an observer's traceparent is stored, unless the event has its own", async (bench) => {
    const broker = await bench.broker();
    const own = TRACEPARENT.replace("0af7", "1111");
    broker.observe(new Log());
    await broker.publish([new Counted({ n: 0 }), new Counted({ n: 1 }, { traceparent: own })]);
    const stored = await Array.fromAsync(broker.history(Counted), ({ traceparent }) => traceparent);
    assertEquals(stored, [TRACEPARENT, own]);
  }),

  contract("36", "an observer is told of pulled deliveries", async (bench) => {
    const broker = await bench.broker();
    const log = new Log();
    broker.observe(log);
    await broker.publish(counted(3));
    let pulled = 0;
    for await (const delivery of broker.consume(Counted, { group: "group", retry: SOON, prefetch: 1 })) {
      if (++pulled === 1) await delivery.ack();
      else if (pulled === 2) await delivery.nack(new Error("no"));
      else break;
    }
    const ends = log.attempts.map(({ n, kind, end }) => [n, kind, end.outcome]);
    assertEquals(ends.slice(0, 2), [[0, "pulled", "ack"], [1, "pulled", "retry"]]);
    assertEquals(ends[2]!.slice(1), ["pulled", "release"]);
  }),

  contract(
    "36",
    "an observer is told once that closing has released a delivery whose handler runs on",
    async (bench) => {
      const broker = await bench.broker();
      const log = new Log();
      broker.observe(log);
      const gate = new Gate();
      const ended = Promise.withResolvers<void>();
      const subscription = await broker.subscribe(Counted, async () => {
        await gate.opened;
        ended.resolve();
      }, { group: "group", drainTimeout: 10 });
      await broker.publish(counted(1));
      await until(() => subscription.info().running === 1, "the handler runs");
      await subscription.close();
      gate.open();
      await ended.promise;
      await broker.close();
      assertEquals(log.attempts.map(({ n, end }) => [n, end.outcome]), [[0, "release"]]);
    },
  ),

  contract("36", "an observer is told of operations", async (bench) => {
    const broker = await bench.broker();
    const log = new Log();
    broker.observe(log);
    const subscription = await broker.subscribe(Counted, () => {
      throw new PermanentError("never");
    }, { group: "group" });
    await broker.publish(counted(2));
    await settled(broker, Counted);
    await subscription.close();
    assertEquals((await lettersOf(broker, Counted)).length, 2);
    const group = "group";
    await broker.redrive(Counted, { group, dryRun: true });
    await broker.redrive(Counted, { group, ids: [(await lettersOf(broker, Counted))[0]!.id] });
    await broker.discardDeadLetters(Counted, { group });
    await broker.rewind(Counted, { group, to: "beginning" });
    await assertRejects(() => broker.redrive(Counted, { group: "unknown" }), RangeError);
    await broker.deleteGroup(Counted, { group, force: true });
    assertEquals(log.operations, [
      ["redrive", "Counted", "group", 1, false],
      ["discard", "Counted", "group", 1, false],
      ["rewind", "Counted", "group", 1, false],
      ["redrive", "Counted", "unknown", undefined, true],
      ["delete_group", "Counted", "group", undefined, false],
    ]);
  }),

  contract("36", "an error that an observer throws becomes an error event, and changes nothing else", async (bench) => {
    const broker = await bench.broker();
    const errors = told<BrokerErrorEvent>(broker, "error");
    const fault = (): never => {
      throw new Error("the observer fails");
    };
    const hostile: BrokerObserver = {
      publishing: () => ({ traceparents: ["nonsense"], ended: fault }),
      handling: () => ({
        // Neither calling the handler twice nor failing afterwards counts.
        run(handler) {
          handler();
          handler();
          return fault();
        },
        ended: fault,
      }),
      settling: fault,
      lifecycle: fault,
    };
    broker.observe(hostile);
    const handled: number[] = [];
    await broker.subscribe(Counted, ({ detail: { n } }) => void handled.push(n), { group: "group", retry: SOON });
    await broker.publish(counted(1));
    await settled(broker, Counted);
    assertEquals(handled, [0]);
    // The traceparent, the end of publishing, the run, the end of the attempt, and settling.
    await until(() => errors.length >= 5, "all faults are reported");
    assert((errors[0]!.error as Error).message.includes("nonsense"));
    assertEquals(errors.slice(1).map(({ error }) => (error as Error).message), Array(4).fill("the observer fails"));
  }),

  contract("36", "an observer that is async, or returns no observation, changes nothing", async (bench) => {
    const broker = await bench.broker();
    const errors = told<BrokerErrorEvent>(broker, "error");
    const fault = (): never => {
      throw new Error("the observer fails");
    };
    const rejects = () => Promise.reject(new Error("the observer fails"));
    const observe = (observer: unknown) => broker.observe(observer as BrokerObserver);
    observe({ publishing: rejects, handling: rejects, settling: rejects, operating: rejects, lifecycle: rejects });
    for (const result of ["text", { ended: 5 }, Object.defineProperty({}, "ended", { get: fault })]) {
      observe({ publishing: () => result, handling: () => result, settling: () => result });
    }
    observe({
      publishing: () => Object.defineProperty({ ended: rejects }, "traceparents", { get: fault }),
      handling: () => Object.defineProperty({ ended: rejects }, "run", { get: fault }),
    });
    // These call the handler in a promise, later, and never.
    const late = { begun: 0, ended: 0 };
    const runs = [async (handler: () => unknown) => await handler(), rejects, (handler: () => void) => {
      late.begun++;
      setTimeout(() => {
        late.ended++;
        handler();
      }, 0);
    }];
    for (const run of runs) observe({ handling: () => ({ run, ended: rejects }) });
    const handled: number[] = [];
    await broker.subscribe(Counted, ({ detail: { n } }, { attempt }) => {
      if (attempt === 1) throw new Error("the handler fails");
      handled.push(n);
      return Promise.resolve();
    }, { group: "group", retry: SOON });
    await broker.publish(counted(1));
    await settled(broker, Counted);
    assertEquals(handled, [0]);
    const expected = ["publishing", "handling", "settling"].map((method) => `Cannot observe ${method} with `);
    const messages = () => errors.map(({ error }) => (error as Error).message);
    for (const text of [...expected, "the observer fails"]) {
      await until(() => messages().some((message) => message.startsWith(text)), `"${text}" is reported`);
    }
    assert(!messages().includes("the handler fails"));
    await until(() => late.ended === late.begun, "no late call is left");
    assertEquals(late.begun, 2);
  }),

  contract("36", "an observer is told nothing while it is not active", async (bench) => {
    const broker = await bench.broker();
    const errors = told<BrokerErrorEvent>(broker, "error");
    const log = new Log();
    let active: () => boolean = () => false;
    using _observing = broker.observe(Object.assign(log, { active: () => active() }));
    await broker.subscribe(Counted, () => {}, { group: "group" });
    await broker.publish(counted(1));
    await settled(broker, Counted);
    assertEquals([log.published, log.attempts, log.outcomes, log.lifecycleEvents], [[], [], [], []]);
    active = () => true;
    await broker.publish(counted(1));
    await settled(broker, Counted);
    await until(() => log.outcomes.length === 1, "the settlement is told");
    assertEquals([log.published, log.attempts.length, errors.length], [[[1, undefined]], 1, 0]);
    active = () => {
      throw new Error("not to be asked");
    };
    await broker.publish(counted(1));
    await settled(broker, Counted);
    await until(() => log.published.length === 2, "an observer that cannot tell is active");
    assert(errors.length > 0 && errors.every(({ error }) => (error as Error).message === "not to be asked"));
  }),

  contract("36", "an observer is told nothing after its disposal", async (bench) => {
    const broker = await bench.broker();
    const [first, second] = [new Log(), new Log()];
    const observing = broker.observe(first);
    broker.observe(second);
    await broker.publish(counted(1));
    observing[Symbol.dispose]();
    observing[Symbol.dispose]();
    await broker.publish(counted(1, 1));
    assertEquals([first.published.length, second.published.length], [1, 2]);
  }),

  contract("36", "an observer is told nothing of a retry that begins after its disposal", async (bench) => {
    const broker = await bench.broker();
    const log = new Log();
    const observing = broker.observe(log);
    // With a key, the same delivery is tried again.
    await broker.subscribe(Counted, (_event, { attempt }) => {
      if (attempt === 1) throw new Error("the first time fails");
      observing[Symbol.dispose]();
      if (attempt === 2) throw new Error("the second time fails");
    }, { group: "group", retry: SOON, key: () => "key" });
    await broker.publish(counted(1));
    await settled(broker, Counted);
    const ends = log.attempts.map(({ attempt, end }) => [attempt, end.outcome]);
    assertEquals(ends, [[1, "retry"], [2, "retry"]]);
  }),
];
