import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { ConflictError, type EventBroker, UncertainPublishError } from "../../../broker/mod.ts";
import { defineEvent } from "../../../events/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  insist,
  lettersOf,
  settled,
  told,
  until,
} from "../../_broker_bench.ts";
import { type AppendCall, FaultyStore } from "../../_faulty_store.ts";
import {
  ALL,
  type Auctions,
  Bid,
  bid,
  connect,
  Ended,
  expecting,
  Paid,
  read,
  revisionsOf,
  Sold,
  sold,
  upTo,
} from "./_auctions.ts";

/** Appends `count` bids to one auction, each by the revision that was read before; resolves with the number of conflicts. */
async function write(broker: Auctions, auction: string, writer: number, count: number): Promise<number> {
  let conflicts = 0;
  let revision: number | "none" = "none";
  for (let n = 0; n < count;) {
    const event = bid(auction, 1_000 * writer + n);
    try {
      await insist(() => broker.publish(event, expecting(auction, revision)));
      assertEquals(event.revision, (revision === "none" ? 0 : revision) + 1);
      revision = event.revision!;
      n++;
    } catch (error) {
      assert(error instanceof ConflictError, String(error));
      assert(error.revision !== error.expected, error.message);
      revision = error.revision;
      conflicts++;
    }
  }
  return conflicts;
}

/** Asserts that each writer's bids are there once and in order, and that the revisions have no gap. */
async function assertWritten(broker: Auctions, auction: string, writers: number, count: number): Promise<void> {
  const events = await read(broker, { subject: auction });
  assertEquals(revisionsOf(events), upTo(1, writers * count));
  for (let writer = 0; writer < writers; writer++) {
    const own = events.map(({ detail }) => detail.n).filter((n) => Math.floor(n / 1_000) === writer);
    assertEquals(own, upTo(0, count - 1).map((n) => 1_000 * writer + n), `writer ${writer}`);
  }
}

export const revisions: readonly BrokerContract[] = [
  contract("41", "publish() numbers the events of each subject in its stream, over all types", async (bench) => {
    const broker = await connect(bench);
    const events = [bid("a"), bid("b"), new Ended({ auction: "a", n: 0 })];
    assertEquals(revisionsOf(events), [undefined, undefined, undefined]);
    await broker.publish(events);
    const later = [bid("a"), new Paid({ auction: "a", n: 0 })];
    await Promise.all(later.map((event) => broker.publish(event)));
    assertEquals([revisionsOf(events), revisionsOf(later)], [[1, 1, 2], [3, 1]]);
    assertEquals(events[2]!.toJSON(), { ...events[2]!.toJSON() as object, revision: 2 });
    assertEquals(events[2]!.toCloudEvent().revision, 2);
    const stored = await Array.fromAsync(broker.history([Bid, Ended]));
    assertEquals(revisionsOf(stored), [1, 1, 2, 3]);
    assertEquals(stored.map((event) => event.toJSON()), [...events, later[0]!].map((event) => event.toJSON()));
    assertEquals(stored[0]!.unknownFields, Object.create(null));
  }),

  contract("1, 41", "handlers, dead letters and live listeners have the revision of an event", async (bench) => {
    const broker = await connect(bench);
    const seen: (number | undefined)[] = [];
    broker.addEventListener("Bid", ({ revision }) => void seen.push(revision));
    await broker.subscribe(Bid, ({ revision }) => {
      seen.push(revision);
      throw new Error("never");
    }, { group: "group", retry: { maxAttempts: 1 } });
    await broker.publish(bid("a"));
    await broker.publish(bid("a"));
    await settled(broker, Bid);
    await until(() => seen.length === 4, "all have seen both");
    assertEquals(seen.toSorted(), [1, 1, 2, 2]);
    assertEquals((await lettersOf(broker as EventBroker<typeof Bid>, Bid)).map(({ event }) => event?.revision), [1, 2]);
  }),

  contract("41", "publish() with an expected revision stores all events or none", async (bench) => {
    for (const streams of [{}, { Shop: { partitions: 3 } }]) {
      const broker = await bench.connect([Sold], { prefix: `shops${Object.keys(streams).length}`, streams });
      const first = [sold("a"), sold("a")];
      await broker.publish(first, expecting("a", "none"));
      assertEquals(revisionsOf(first), [1, 2]);
      const late = [sold("a"), sold("a")];
      for (const revision of ["none", 0, 1, 3] as const) {
        const error = await assertRejects(() => broker.publish(late, expecting("a", revision)), ConflictError);
        assertEquals([error.subject, error.expected, error.revision], ["a", revision === 0 ? "none" : revision, 2]);
        assertStringIncludes(error.message, "read its history");
        assertEquals(revisionsOf(late), [undefined, undefined]);
      }
      await broker.publish(late, expecting("a", 2));
      assertEquals(revisionsOf(late), [3, 4]);
      const single = sold("a");
      assertEquals(await broker.publish(single, expecting("a", 4)), single.position);
      assertEquals((await broker.info(Sold)).length, 5);
    }
  }),

  contract("41", "publish() with an expected revision checks it when its turn comes", async (bench) => {
    const broker = await connect(bench);
    // Concurrent calls are stored in their order: each knows the revision of the one before it.
    const events = upTo(0, 49).map((n) => bid("a", n));
    await Promise.all(events.map((event, n) => broker.publish(event, expecting("a", n === 0 ? "none" : n))));
    assertEquals(revisionsOf(events), upTo(1, 50));
    const paid = [new Paid({ auction: "a", n: 1 }), new Paid({ auction: "a", n: 2 })];
    const publishing = paid.map((event) => broker.publish(event, expecting("a", "none")));
    assertEquals((await Promise.allSettled(publishing)).map(({ status }) => status), ["fulfilled", "rejected"]);
    // Conflicts in between neither hold up other events nor change their order.
    const mixed = upTo(1, 300).map((n) => bid("b", n));
    const results = await Promise.allSettled(
      mixed.map((event, n) => broker.publish(event, n % 50 === 10 ? expecting("b", 9_999) : {})),
    );
    const stored = mixed.filter((_, n) => n % 50 !== 10);
    assertEquals(results.filter(({ status }) => status === "rejected").length, 6);
    assertEquals((await read(broker, { subject: "b" })).map(({ id }) => id), stored.map(({ id }) => id));
  }),

  contract("41", "fifty writers of one subject append each event once, without a gap", async (bench) => {
    const brokers = await Promise.all(upTo(1, 5).map(() => connect(bench)));
    const conflicts = await Promise.all(upTo(0, 49).map((writer) => write(brokers[writer % 5]!, "a", writer, 3)));
    await assertWritten(brokers[0]!, "a", 50, 3);
    assert(conflicts.some((count) => count > 0), "no writer met another");
  }),

  contract(
    "30, 41",
    "fifty writers of one subject append each event once, through lost replies and calls",
    async (bench) => {
      let random = 42;
      const next = () => random = random * 48_271 % 2_147_483_647;
      const brokers: Auctions[] = [];
      let faults = 0;
      for (let n = 0; n < 5; n++) {
        let faulty: FaultyStore | undefined;
        brokers.push(
          await bench.over((store) => faulty = new FaultyStore(store), {
            events: ALL,
            publishTimeout: 400,
          }) as Auctions,
        );
        faulty!.onAppend = (call: AppendCall) => {
          const dice = next() % 8;
          if (faults >= 300 || dice > 2) return;
          faults++;
          if (dice === 0) call.lose();
          else if (dice === 1) call.miss();
          else call.refuse(new StoreError("transient", "loading"));
        };
      }
      await Promise.all(upTo(0, 49).map((writer) => write(brokers[writer % 5]!, "a", writer, 2)));
      await assertWritten(brokers[0]!, "a", 50, 2);
      assert(faults > 20, "too few calls failed");
    },
    "store",
  ),

  contract(
    "30, 41",
    "publish() after an uncertain one finds the conflict, and can expect another revision",
    async (bench) => {
      let faulty: FaultyStore | undefined;
      const wrap = { events: ALL, publishTimeout: 100 };
      const broker = await bench.over((store) => faulty = new FaultyStore(store), wrap) as Auctions;
      await broker.publish(bid("a"));
      const event = bid("a", 1);
      faulty!.onAppend = (call) => call.lose();
      await assertRejects(() => broker.publish(event, expecting("a", "none")), UncertainPublishError);
      faulty!.onAppend = undefined;
      const error = await assertRejects(
        () => insist(() => broker.publish(event, expecting("a", "none"))),
        ConflictError,
      );
      assertEquals(error.revision, 1);
      await insist(() => broker.publish(event, expecting("a", 1)));
      assertEquals(event.revision, 2);
      // It is stored: publishing it again checks nothing.
      assertEquals(await broker.publish(event, expecting("a", 1)), event.position);
      assertEquals(revisionsOf(await read(broker, { subject: "a" })), [1, 2]);
    },
    "store",
  ),

  contract("41", "publish() with an expected revision says what it cannot check", async (bench) => {
    const broker = await bench.connect([Bid, Ended, Paid, Counted], { streams: { Auction: { partitions: 3 } } });
    const plain = await bench.connect([Paid], { streams: { Paid: { revisions: false } } });
    const same = bid("a");
    await broker.publish(same);
    const cases: [() => Promise<unknown>, string][] = [
      [() => broker.publish(new Counted({ n: 1 }), expecting("a", 1)), "add the option subject to the class Counted"],
      [() => plain.publish(new Paid({ auction: "a", n: 1 }), expecting("a", 1)), "leave streams.Paid.revisions out"],
      [() => broker.publish(bid("a"), expecting("b", 1)), "no event has this subject"],
      [() => broker.publish([], expecting("a", 1)), "no event has this subject"],
      [() => broker.publish([bid("a"), new Paid({ auction: "a", n: 1 })], expecting("a", 1)), "events:Paid"],
      [() => broker.publish([bid("a"), ...upTo(1, 9).map((n) => bid(`${n}`))], expecting("a", 1)), "apart"],
      [() => broker.publish([bid("a"), same], expecting("a", 1)), "published before"],
      [() => broker.publish(bid("a"), { expected: { subject: "", revision: 1 } }), "expected.subject"],
      [() => broker.publish(bid("a"), { expected: { subject: "a", revision: "1" as "none" } }), "expected.revision"],
      [() => broker.publish(bid("a"), { expect: { subject: "a", revision: 1 } } as object), "unknown option"],
      [() => broker.publish(bid("a"), { expected: { subject: "a", version: 1 } as never }), "unknown option"],
    ];
    for (const [publish, message] of cases) {
      assertStringIncludes((await assertRejects(publish, TypeError)).message, message);
    }
    for (const revision of [-1, 1.5, NaN, Infinity]) {
      await assertRejects(() => broker.publish(bid("a"), expecting("a", revision)), RangeError, "expected.revision");
    }
    assertEquals((await broker.info(Bid)).length, 1);
    await assertRejects(
      () => bench.connect([Bid, Ended, Paid], { streams: { Paid: { revisions: 1 as never } } }),
      TypeError,
      "true or false",
    );
    await assertRejects(
      () => bench.connect([Counted], { streams: { Counted: { revisions: true } } }),
      TypeError,
      'the stream "Counted" has revisions, and the class Counted takes no subject',
    );
  }),

  contract("41", "publish() has no revisions where a class has no subject, or the option is off", async (bench) => {
    class Note extends defineEvent("Note", { stream: "Auction" })<{ n: number }> {}
    const [mixed, off] = [
      await bench.connect([Bid, Note]),
      await bench.connect([Paid], { streams: { Paid: { revisions: false } } }),
    ];
    const [one, two] = [bid("a"), new Paid({ auction: "a", n: 1 })];
    await mixed.publish(one);
    await off.publish(two);
    assertEquals([one.revision, two.revision], [undefined, undefined]);
    assertThrows(() => mixed.history(Bid, { subject: "a" }), TypeError, "add the option subject to the class Note");
    assertThrows(() => off.history(Paid, { subject: "a" }), TypeError, "leave streams.Paid.revisions out");
    // Another broker numbers them from now on: the earlier ones are not counted.
    const on = await connect(bench);
    const later = [bid("a"), new Paid({ auction: "a", n: 2 })];
    for (const event of later) await on.publish(event);
    assertEquals(revisionsOf(later), [1, 1]);
    assertEquals((await read(on, { subject: "a" })).map(({ id }) => id), [later[0]!.id]);
  }),

  contract("41, 42, 46", "revisions go on when the number of partitions changes", async (bench) => {
    const options = { streams: { Auction: { partitions: 2 } } };
    const broker = await connect(bench, options);
    const subjects = upTo(1, 12).map((n) => `s${n}`);
    for (let round = 0; round < 2; round++) await broker.publish(subjects.map((subject) => bid(subject, round)));
    for (const [round, partitions] of [[2, 5], [3, 2]] as const) {
      await broker.repartition(Bid, { partitions });
      const events = subjects.map((subject) => bid(subject, round));
      await Promise.all(
        events.map((event, n) => broker.publish(event, n % 2 === 0 ? expecting(event.subject!, round) : {})),
      );
      assertEquals(new Set(revisionsOf(events)), new Set([round + 1]));
      const other = await connect(bench, { streams: { Auction: { partitions } } });
      const error = await assertRejects(() => other.publish(bid("s1"), expecting("s1", round)), ConflictError);
      assertEquals(error.revision, round + 1);
      for (const subject of subjects) {
        assertEquals((await read(other, { subject })).map(({ detail }) => detail.n), upTo(0, round));
        assertEquals(
          revisionsOf(await read(other, { subject, reverse: true, fromRevision: 2 })),
          upTo(2, round + 1).reverse(),
        );
      }
    }
  }),

  contract("36, 41", "observers see a conflict as the error of the publish", async (bench) => {
    const broker = await connect(bench);
    await broker.publish(bid("a"));
    const errors: unknown[] = [];
    using _ = broker.observe({ publishing: () => ({ ended: ({ error }) => void errors.push(error) }) });
    const warnings = told(broker as unknown as EventBroker, "error");
    const error = await assertRejects(() => broker.publish(bid("a"), expecting("a", "none")), ConflictError);
    assertEquals([errors, warnings], [[error], []]);
  }),
];
