import { assertEquals, assertThrows } from "@std/assert";
import type { DomainEvent } from "../../../events/mod.ts";
import { assertOrder, type BrokerContract, contract } from "../../_broker_bench.ts";
import {
  type Auctions,
  Bid,
  bid,
  connect,
  Ended,
  Paid,
  read,
  Returned,
  revisionsOf,
  Sold,
  upTo,
} from "../publishing/_auctions.ts";

export const subjectHistory: readonly BrokerContract[] = [
  contract("42", "history() reads one subject between positions, with limit and in reverse", async (bench) => {
    for (const streams of [{}, { Shop: { partitions: 4 } }]) {
      const broker = await bench.connect([Sold, Returned], { prefix: `shops${Object.keys(streams).length}`, streams });
      const events = upTo(0, 299).map((n) => {
        const detail = { shop: n % 3 === 0 ? "a" : `b${n % 7}`, n };
        return n % 30 === 0 ? new Returned(detail) : new Sold(detail);
      });
      for (let n = 0; n < 300; n += 100) await broker.publish(events.slice(n, n + 100));
      const own = events.filter(({ subject }) => subject === "a");
      const history = (options: Parameters<typeof broker.history>[1], classes: (typeof Sold | typeof Returned)[]) =>
        Array.fromAsync(broker.history(classes, { subject: "a", ...options }));
      assertEquals(revisionsOf(await history({}, [Sold, Returned])), upTo(1, 100));
      const [from, to] = [own[20]!.position!, own[40]!.position!];
      const cases: [Parameters<typeof broker.history>[1], readonly DomainEvent[]][] = [
        [{}, own],
        [{ reverse: true }, own.toReversed()],
        [{ fromRevision: 91 }, own.slice(90)],
        [{ fromRevision: 91, reverse: true, limit: 3 }, own.slice(97).reverse()],
        [{ fromRevision: 101 }, []],
        [{ limit: 5 }, own.slice(0, 5)],
        [{ limit: 0 }, []],
        [{ from, to }, own.slice(20, 41)],
        [{ after: from, to }, own.slice(21, 41)],
        [{ from, to, reverse: true, limit: 2 }, own.slice(39, 41).reverse()],
        [{ from, limit: 2 }, own.slice(20, 22)],
      ];
      for (const [options, expected] of cases) assertOrder(await history(options, [Sold, Returned]), expected);
      const returned = own.filter(({ type }) => type === "Returned");
      assertOrder(await history({ limit: 3 }, [Returned]), returned.slice(0, 3));
      assertEquals(await Array.fromAsync(broker.history(Sold, { subject: "nobody" })), []);
      let replayed = 0;
      assertEquals(await broker.replay([Sold, Returned], () => void replayed++, { subject: "a", limit: 7 }), 7);
      assertEquals(replayed, 7);
    }
  }),

  contract("42", "history() of one subject ends at its last event at the time of the call", async (bench) => {
    const broker = await connect(bench);
    for (let n = 0; n < 2; n++) await broker.publish(bid("a", n));
    const history = broker.history(Bid, { subject: "a" });
    const first = await history.next();
    await broker.publish(bid("a", 2));
    const rest = await Array.fromAsync(history);
    assertEquals([first.value, ...rest].map((event) => event?.revision), [1, 2]);
  }),

  contract("42", "history() of one subject merges several streams by position", async (bench) => {
    const broker = await connect(bench);
    const events: (Bid | Paid)[] = [];
    for (let n = 0; n < 6; n++) {
      const event = n % 2 === 0 ? bid("a", n) : new Paid({ auction: "a", n });
      await broker.publish(event);
      await broker.publish(bid("b", n));
      events.push(event);
    }
    const stored = await Array.fromAsync(broker.history([Bid, Ended, Paid], { subject: "a" }));
    assertEquals(new Set(stored.map(({ id }) => id)), new Set(events.map(({ id }) => id)));
    assertEquals(revisionsOf(stored.filter(({ type }) => type === "Bid")), [1, 2, 3]);
    assertEquals(
      (await Array.fromAsync(broker.history([Bid, Paid], { subject: "a", limit: 4, reverse: true }))).length,
      4,
    );
    const cases: [Parameters<Auctions["history"]>[1], string][] = [
      [{ subject: "a", fromRevision: 2 }, "several streams"],
      [{ fromRevision: 2 }, "without subject"],
      [{ subject: "a", follow: true }, "follow"],
      [{ subject: "" }, "as subject"],
    ];
    for (const [options, message] of cases) {
      assertThrows(() => broker.history([Bid, Paid], options), TypeError, message);
    }
    for (const fromRevision of [0, 1.5]) {
      assertThrows(() => broker.history(Bid, { subject: "a", fromRevision }), RangeError, "fromRevision");
    }
  }),

  contract("28, 42", "entries of other programs have no revision, and are not in the index", async (bench) => {
    const [broker, store] = [await connect(bench), await bench.store()];
    await broker.publish(bid("a", 1));
    const byHand = ["payload", '{"auction":"a","n":2}', "type", "Bid"];
    await store.append("events:Auction", [byHand, [...byHand, "subject", "a", "revision", "x", "previous", "y"]]);
    await broker.publish(bid("a", 3));
    const all = await read(broker, {});
    assertEquals(all.map(({ revision, subject }) => [revision, subject]), [
      [1, "a"],
      [undefined, "a"],
      [undefined, "a"],
      [2, "a"],
    ]);
    assertEquals({ ...all[2]!.unknownFields }, { revision: "x", previous: "y" });
    assertEquals((await read(broker, { subject: "a" })).map(({ detail }) => detail.n), [1, 3]);
  }, "store"),
];
