import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { NOTICE } from "../../src/broker/partitions/_stream_layout.ts";
import { Gate, until } from "../../src/testing/_broker_bench.ts";
import { defineEvent, EventBroker, PublishTimeoutError } from "../../mod.ts";
import { FaultyStore } from "../../src/testing/_faulty_store.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";

class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<{
  auctionId: string;
  amount: number;
}> {}

/** Brokers over one store, which stays open when they close. */
function brokers(count: number, partitions: number): EventBroker<typeof BidPlaced>[] {
  const store = new InMemoryStore();
  store[Symbol.asyncDispose] = () => Promise.resolve();
  return Array.from(
    { length: count },
    () =>
      new EventBroker(store, { events: [BidPlaced], ...(partitions > 0 && { streams: { Auction: { partitions } } }) }),
  );
}

async function amountsOf(broker: EventBroker<typeof BidPlaced>): Promise<Map<string, number[]>> {
  const amounts = new Map<string, number[]>();
  for await (const { detail: { auctionId, amount } } of broker.history(BidPlaced)) {
    amounts.set(auctionId, [...amounts.get(auctionId) ?? [], amount]);
  }
  return amounts;
}

class BidDrawn extends defineEvent("BidDrawn", { stream: "Auction", subject: "auctionId" })<{ auctionId: string }> {}

Deno.test("repartition() while brokers publish keeps the order of each subject, and loses and doubles nothing", async () => {
  const [operator, ...publishers] = brokers(4, 4);
  let publishing = true;
  const counts = new Map<string, number>();
  const run = async (broker: EventBroker<typeof BidPlaced>, own: number) => {
    while (publishing) {
      const bids = Array.from({ length: 20 }, (_, nth) => `auction-${own}-${nth % 7}`).map((auctionId) => {
        const amount = (counts.get(auctionId) ?? 0) + 1;
        counts.set(auctionId, amount);
        return new BidPlaced({ auctionId, amount });
      });
      // Some alone, some together, and several in flight at once.
      await Promise.all([...bids.slice(0, 10).map((bid) => broker.publish(bid)), broker.publish(bids.slice(10))]);
      await new Promise((resolve) => setTimeout(resolve, 0));
    }
  };
  const running = publishers.map(run);
  await operator!.repartition(BidPlaced, { partitions: 11 });
  await operator!.repartition(BidPlaced, { partitions: 3 });
  publishing = false;
  await Promise.all(running);
  const amounts = await amountsOf(publishers[0]!);
  assertEquals(amounts.size, counts.size);
  for (const [auctionId, count] of counts) {
    assertEquals(amounts.get(auctionId), Array.from({ length: count }, (_, nth) => nth + 1), auctionId);
  }
  for (const broker of [operator!, ...publishers]) await broker.close();
});

Deno.test("repartition() twice at once makes one change", async () => {
  const [one, other] = brokers(2, 2);
  await one!.publish(new BidPlaced({ auctionId: "a", amount: 1 }));
  await Promise.all([
    one!.repartition(BidPlaced, { partitions: 5 }),
    other!.repartition(BidPlaced, { partitions: 5 }),
  ]);
  await other!.publish(new BidPlaced({ auctionId: "a", amount: 2 }));
  assertEquals((await amountsOf(one!)).get("a"), [1, 2]);
  await one!.close();
  await other!.close();
});

for (const before of [2, 0]) {
  const what = before === 0 ? "the first partitions" : "partitions that are added";
  Deno.test(`live listeners and history({ follow }) get the events of ${what}`, async () => {
    const [operator, listening] = brokers(2, before);
    const subjects = Array.from({ length: 40 }, (_, nth) => `auction-${nth}`);
    const heard: string[] = [];
    listening!.addEventListener("BidPlaced", ({ detail }) => void heard.push(`${detail.auctionId} ${detail.amount}`));
    const followed: string[] = [];
    const gate = new Gate();
    const following = (async () => {
      for await (const { detail } of listening!.history(BidPlaced, { follow: true, limit: 80 })) {
        followed.push(`${detail.auctionId} ${detail.amount}`);
        // A slow reader: the partitions change while it has not read the old events.
        await gate.opened;
      }
    })();
    const publish = (amount: number) =>
      Promise.all(subjects.map((auctionId) => listening!.publish(new BidPlaced({ auctionId, amount }))));
    await listening!.publish(new BidPlaced({ auctionId: "first", amount: 0 }));
    await publish(1);
    await operator!.repartition(BidPlaced, { partitions: 9 });
    await publish(2);
    await until(() => heard.length === 81, "81 events were heard");
    gate.open();
    const expected = ["first 0", ...subjects.flatMap((subject) => [`${subject} 1`, `${subject} 2`])].sort();
    assertEquals(heard.toSorted(), expected);
    await following;
    assertEquals(new Set(followed).size, 80);
    for (const subject of subjects) {
      const inOrder = [`${subject} 1`, `${subject} 2`];
      assertEquals(heard.filter((each) => inOrder.includes(each)), inOrder);
      assertEquals(
        followed.filter((each) => inOrder.includes(each)),
        inOrder.slice(0, followed.includes(inOrder[1]!) ? 2 : 1),
      );
    }
    await operator!.close();
    await listening!.close();
  });
}

Deno.test("a broker writes the layout again when the store has lost it", async () => {
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, { events: [BidPlaced], streams: { Auction: { partitions: 3 } } });
  await broker.publish(new BidPlaced({ auctionId: "a", amount: 1 }));
  const state = store.state("events:Auction", "layout");
  const { text, version } = await state.read();
  await state.write(undefined, version);
  await Array.fromAsync(broker.history(BidPlaced));
  assertEquals((await state.read()).text, text);
});

Deno.test("repartition() announces again what a failover has lost, and a broker writes a lost layout again", async () => {
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, { events: [BidPlaced], streams: { Auction: { partitions: 2 } } });
  await broker.publish(new BidPlaced({ auctionId: "a", amount: 1 }));
  const state = store.state("events:Auction", "layout");
  const before = (await state.read()).text!;
  const change = broker.repartition(BidPlaced, { partitions: 3 });
  await until(async () => (await state.read()).text!.includes("next"), "the change is announced");
  await state.write(before, (await state.read()).version);
  await change;
  const { text, version } = await state.read();
  assertEquals(JSON.parse(text!).layouts.map(({ partitions }: { partitions: number }) => partitions), [2, 3]);
  await state.write(before, version);
  await Array.fromAsync(broker.history(BidPlaced));
  assertEquals((await state.read()).text, text);
});

Deno.test("repartition() gives its notice after the announcement is written, however long that takes", async () => {
  const store = new InMemoryStore();
  const announced: number[] = [];
  const slow = new Proxy(store, {
    get(target, name) {
      if (name !== "state") {
        const value = Reflect.get(target, name);
        return typeof value === "function" ? value.bind(target) : value;
      }
      return (stream: string, kind: string) => {
        const state = target.state(stream, kind);
        const write = async (text: string | undefined, version: number) => {
          const isAnnouncement = text?.includes("next") === true;
          if (isAnnouncement) await new Promise((resolve) => setTimeout(resolve, 1_000));
          const written = await state.write(text, version);
          if (isAnnouncement || text?.includes("cuts")) announced.push((await state.read()).now);
          return written;
        };
        return { read: () => state.read(), write };
      };
    },
  });
  await using broker = new EventBroker(slow, { events: [BidPlaced], streams: { Auction: { partitions: 2 } } });
  await broker.repartition(BidPlaced, { partitions: 3 });
  const [begun, ended] = announced;
  assertEquals(ended! - begun! >= NOTICE, true, `${ended! - begun!} ms`);
});

for (const fenced of [0, 1, 3]) {
  Deno.test(`a broker ends a change whose process died after it had closed ${fenced} of 3 streams`, async () => {
    const store = new InMemoryStore();
    store[Symbol.asyncDispose] = () => Promise.resolve();
    const options = { events: [BidPlaced], streams: { Auction: { partitions: 2 } }, publishTimeout: 20_000 };
    await using broker = new EventBroker(store, options);
    await using consumer = new EventBroker(store, options);
    const handled: number[] = [];
    await consumer.subscribe(BidPlaced, ({ detail: { amount } }) => void handled.push(amount), { group: "bids" });
    const bids = (from: number) =>
      Array.from({ length: 10 }, (_, n) => new BidPlaced({ auctionId: `a-${n}`, amount: from + n }));
    await broker.publish(bids(0));
    const state = store.state("events:Auction", "layout");
    const { text, version, now } = await state.read();
    const next = { id: 2, partitions: 3, notBefore: now + NOTICE };
    await state.write(JSON.stringify({ ...JSON.parse(text!), next }), version);
    for (let nth = 0; nth < fenced; nth++) await store.admin(`events:Auction#${nth}`).fence(2);
    await broker.publish(bids(10));
    await until(async () => (await state.read()).text!.includes("cuts"), "the change is made", 15_000);
    await broker.publish(bids(20));
    await until(() => handled.length === 30, "all events are handled");
    const { partitions, groups: [group] } = await broker.info(BidPlaced);
    assertEquals([partitions!.length, group!.lag, new Set(handled).size], [3, 0, 30]);
  });
}

Deno.test("repartition() makes, alters and deletes groups on new partitions as they change meanwhile", async () => {
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, {
    events: [BidPlaced, BidDrawn],
    streams: { Auction: { partitions: 2 } },
  });
  for (const group of ["altered", "deleted", "kept"]) {
    await (await broker.subscribe(BidPlaced, () => {}, { group })).close();
  }
  const change = broker.repartition(BidPlaced, { partitions: 4 });
  const groupsOf = async (stream: string) => (await store.admin(stream).info()).groups;
  await until(async () => (await groupsOf("events:Auction#3")).length === 3, "the groups are made");
  await broker.alterGroup([BidPlaced, BidDrawn], { group: "altered" });
  await broker.deleteGroup(BidPlaced, { group: "deleted" });
  const late = await broker.subscribe(BidDrawn, () => {}, { group: "late", whenDead: "hold-key" });
  await change;
  await late.close();
  for (const partition of [0, 1, 2, 3]) {
    const groups = await groupsOf(`events:Auction#${partition}`);
    assertEquals(groups.map(({ name, types, whenDead }) => [name, types, whenDead]).sort(), [
      ["altered", ["BidDrawn", "BidPlaced"], "continue"],
      ["kept", ["BidPlaced"], "continue"],
      ["late", ["BidDrawn"], "hold-key"],
    ]);
  }
});

class Noted extends defineEvent("Noted", { stream: "Auction" })<{ text: string }> {}

Deno.test("publish() rejects an event without a subject once another broker gave its stream partitions", async () => {
  const store = new InMemoryStore();
  store[Symbol.asyncDispose] = () => Promise.resolve();
  await using broker = new EventBroker(store, { events: [BidPlaced, Noted] });
  await using other = new EventBroker(store, { events: [BidPlaced] });
  await broker.publish(new Noted({ text: "before" }));
  await other.repartition(BidPlaced, { partitions: 3 });
  await assertRejects(() => broker.publish(new Noted({ text: "after" })), TypeError, "subject");
  await broker.publish(new BidPlaced({ auctionId: "a", amount: 1 }));
});

Deno.test("publish() rejects in time if nobody can read the layout that its stream was closed for", async () => {
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, { events: [BidPlaced], publishTimeout: 300 });
  await broker.publish(new BidPlaced({ auctionId: "a", amount: 1 }));
  const state = store.state("events:Auction", "layout");
  await state.write("nonsense", (await state.read()).version);
  await store.admin("events:Auction").fence(9);
  const reasons: string[] = [];
  broker.addEventListener("reconnect", ({ error }) => void reasons.push(String(error)));
  await assertRejects(() => broker.publish(new BidPlaced({ auctionId: "a", amount: 2 })), PublishTimeoutError);
  assertStringIncludes(reasons[0]!, "another program wrote its state");
});

Deno.test("a consumer that was given up while its stream got partitions takes part in them when it goes on", async () => {
  const store = new InMemoryStore();
  store[Symbol.asyncDispose] = () => Promise.resolve();
  const gate = new Gate();
  let frozen = false;
  const faulty = new FaultyStore(store);
  faulty.onMember = (member) =>
    new Proxy(member, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== "function") return value;
        return async (...args: unknown[]) => {
          if (frozen && (name === "claim" || name === "renew")) await gate.opened;
          return await value.apply(target, args);
        };
      },
    });
  await using before = new EventBroker(faulty, { events: [BidPlaced] });
  await using after = new EventBroker(store, { events: [BidPlaced] });
  const handled: number[] = [];
  const handle = ({ detail }: BidPlaced) => void handled.push(detail.amount);
  const subscription = await before.subscribe(BidPlaced, handle, { group: "group", lease: 300 });
  const rebalanced: number[] = [];
  subscription.addEventListener("rebalance", ({ assigned }) => void rebalanced.push(assigned.length));
  for (const amount of [1, 2]) {
    await after.publish(new BidPlaced({ auctionId: "a", amount }));
    await until(() => handled.length === amount, `event ${amount} is handled`);
    // The claim that waits ends by the second event, and the next one hangs.
    frozen = true;
  }
  await after.repartition(BidPlaced, { partitions: 4 });
  await after.subscribe(BidPlaced, handle, { group: "group", lease: 300 });
  await after.publish(new BidPlaced({ auctionId: "a", amount: 3 }));
  await until(() => handled.length === 3, "the other consumer handles the next event");
  frozen = false;
  gate.open();
  await until(() => rebalanced.at(-1) === 2, "the consumer has two of four partitions");
  await after.publish(["a", "b", "c", "d"].map((auctionId) => new BidPlaced({ auctionId, amount: 4 })));
  await until(() => handled.length === 7, "all events are handled");
  assertEquals([handled, subscription.info().state], [[1, 2, 3, 4, 4, 4, 4], "reading"]);
});
