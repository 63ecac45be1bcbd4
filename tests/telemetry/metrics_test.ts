import { assert, assertEquals, assertGreater, assertGreaterOrEqual, assertLess } from "@std/assert";
import { connect, defineEvent, EventBroker, InMemoryBroker, partitionOf, PermanentError } from "@tidings/broker";
import { InMemoryStore } from "../../src/memory/mod.ts";
import { Gate, groupOf, until } from "../../src/testing/_broker_bench.ts";
import { checkWithPromtool, measure } from "./_scrape.ts";

class Ended extends defineEvent("Ended")<{ price: number }> {}
class Paid extends defineEvent("Paid")<{ n: number }> {}
const events = [Ended, Paid];
const paid = (count: number) => Array.from({ length: count }, (_, n) => new Paid({ n }));
const SOON = { minTimeout: 1, maxTimeout: 5, maxAttempts: 2 };
const mails = { type: "Paid", group: "mails" };

Deno.test("instrument() counts publishes, attempts and what becomes of events", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  const published = paid(5);
  const subscription = await broker.subscribe(Paid, ({ detail: { n } }, { attempt }) => {
    if (n === 1 && attempt === 1) throw new TypeError("the first time fails");
    if (n === 2) throw new PermanentError("never");
    if (n === 3) throw new RangeError("always");
  }, { group: "mails", retry: SOON });
  await broker.publish(published.slice(0, 2));
  await broker.publish(published.slice(2));
  await broker.idle();
  await until(async () => (await metrics.scrape()).value("tidings_events_handled_total", mails) === 3, "all is told");

  const scrape = await metrics.scrape();
  await checkWithPromtool(scrape);
  const totals = (name: string, label?: string) =>
    label === undefined ? scrape.value(`${name}_total`, mails) : Object.fromEntries(
      scrape.values(`${name}_total`, label)
        .map((value) => [value, scrape.value(`${name}_total`, { ...mails, [label]: value })]),
    );
  assertEquals(scrape.value("tidings_events_published_total", { type: "Paid" }), 5);
  assertEquals(scrape.value("messaging_client_sent_messages_total", { type: "Paid" }), 5);
  assertEquals(totals("messaging_client_consumed_messages"), 7);
  assertEquals(totals("tidings_events_handled"), 3);
  assertEquals(totals("tidings_events_failed", "error_type"), { PermanentError: 1, RangeError: 2, TypeError: 1 });
  assertEquals(totals("tidings_events_retried"), 2);
  assertEquals(totals("tidings_events_dead_lettered", "tidings_dead_letter_reason"), {
    attempts: 1,
    died: 0,
    held: 0,
    expired: 0,
    permanent: 1,
    undecodable: 0,
    version: 0,
  });
  const attempts = (outcome: string) =>
    scrape.value("messaging_process_duration_seconds_count", { ...mails, tidings_delivery_outcome: outcome });
  assertEquals([attempts("ack"), attempts("retry"), attempts("dead"), attempts("lost")], [3, 2, 2, undefined]);
  assertEquals(scrape.value("tidings_event_latency_seconds_count", mails), 3);
  const operations = "messaging_client_operation_duration_seconds";
  assertEquals(scrape.values(`${operations}_count`, "messaging_operation_name"), ["send", "settle"]);
  assertEquals(scrape.value(`${operations}_count`, { messaging_operation_name: "send" }), 2);
  assertLess(scrape.value(`${operations}_sum`)!, 10);

  // Ids, positions and consumers are unbounded, so no label has them.
  const [{ consumers: [consumer] }] = [await groupOf(broker, Paid, "mails")];
  for (const secret of [consumer!.name, ...published.flatMap(({ id, position }) => [id, position!])]) {
    assert(!scrape.text.includes(secret), secret);
  }
  assertEquals(scrape.labels, [
    "error_type",
    "le",
    "messaging_consumer_group_name",
    "messaging_destination_name",
    "messaging_operation_name",
    "messaging_operation_type",
    "messaging_system_name",
    "tidings_dead_letter_reason",
    "tidings_delivery_outcome",
  ]);
  for (const [name, type] of scrape.types) assertEquals(name.endsWith("_total"), type === "counter", name);
  await subscription.close();
});

Deno.test("instrument() counts publishes that another writer was faster than", async () => {
  class Bid extends defineEvent("Bid", { subject: "auction" })<{ auction: string }> {}
  await using broker = new InMemoryBroker({ events: [Bid] });
  await using metrics = measure(broker);
  const bid = () => new Bid({ auction: "a" });
  const none = { expected: { subject: "a", revision: "none" } } as const;
  assertEquals((await metrics.scrape()).value("tidings_publish_conflicts_total", { type: "Bid" }), 0);
  await broker.publish(bid(), none);
  await broker.publish([bid(), bid()], none).catch(() => {});
  await broker.publish(bid(), none).catch(() => {});
  const scrape = await metrics.scrape();
  assertEquals(scrape.value("tidings_publish_conflicts_total", { type: "Bid" }), 2);
  assertEquals(scrape.value("tidings_events_published_total", { type: "Bid" }), 1);
  assertEquals(scrape.value("messaging_client_sent_messages_total", { error_type: "ConflictError" }), 3);
});

Deno.test("instrument() counts redriven, discarded and trimmed events", async () => {
  await using broker = new InMemoryBroker({ events, retention: { maxLength: 3 } });
  await using metrics = measure(broker);
  const subscription = await broker.subscribe(Paid, () => {
    throw new PermanentError("never");
  }, { group: "mails" });
  await broker.publish(paid(3));
  await broker.idle();
  await subscription.close();
  const letters = await Array.fromAsync(broker.deadLetters(Paid, { group: "mails" }));
  await broker.redrive(Paid, { group: "mails", ids: [letters[0]!.id] });
  await broker.discardDeadLetters(Paid, { group: "mails" });
  await broker.deleteGroup(Paid, { group: "mails", force: true });
  for (let n = 0; n < 200; n++) await broker.publish(new Paid({ n }));
  await until(async () => (await broker.info(Paid)).length < 203, "retention has removed events");
  const scrape = await metrics.scrape();
  assertEquals(scrape.value("tidings_events_redriven_total", mails), 1);
  assertEquals(scrape.value("tidings_events_discarded_total", mails), 2);
  assertGreater(scrape.value("tidings_events_trimmed_total", { type: "Paid" })!, 0);
  await checkWithPromtool(scrape);
});

Deno.test("instrument() observes streams and groups", async () => {
  await using broker = new InMemoryBroker({ events, retention: { maxLength: 2 } });
  await using metrics = measure(broker);
  const gate = new Gate();
  await broker.subscribe(Paid, async ({ detail: { n } }) => {
    if (n === 0) throw new PermanentError("never");
    if (n === 1) throw new Error("later");
    await gate.opened;
  }, { group: "mails", prefetch: 2, retry: { minTimeout: 60_000, jitter: 0 } });
  const before = Date.now();
  await broker.publish(paid(6));
  await broker.publish(paid(3), { delay: 3_600_000 });
  await until(async () => {
    const { deadLetters, retrying, pending } = await groupOf(broker, Paid, "mails");
    return deadLetters === 1 && retrying === 1 && pending === 3;
  }, "the prefetch is full");

  const scrape = await metrics.scrape();
  await checkWithPromtool(scrape);
  const [group] = (await broker.info(Paid)).groups;
  const gauge = (name: string) => scrape.value(`tidings_${name}`, mails);
  assertEquals(
    ["lag", "lag_exact", "pending", "in_flight", "retrying", "deferred", "waiting", "held_keys", "consumers"].map((
      name,
    ) => gauge(`group_${name}`)),
    [group!.lag, 1, 3, 2, 1, 0, 0, 0, 1],
  );
  assertEquals(gauge("dead_letters"), 1);
  for (const name of ["group_oldest_age_seconds", "dead_letters_oldest_age_seconds"]) {
    assertGreaterOrEqual(gauge(name)!, 0);
    assertLess(gauge(name)!, (Date.now() - before + 1) / 1_000);
  }
  assertEquals([scrape.value("tidings_stream_length", { type: "Paid" })], [6]);
  assertEquals(["Paid", "Ended"].map((type) => scrape.value("tidings_scheduled_waiting", { type })), [3, 0]);
  assertEquals(scrape.value("tidings_stream_size_bytes", { type: "Paid" }), (await broker.info(Paid)).bytes);
  assertEquals(["Paid", "Ended"].map((type) => scrape.value("tidings_stream_pinned", { type })), [1, 0]);
  assertEquals([scrape.value("tidings_broker_ready"), scrape.value("tidings_store_up")], [1, 1]);
  gate.open();
  await broker.close();
  const last = await metrics.scrape();
  // The state of the store and of its streams is unknown from now on.
  assertEquals([last.value("tidings_broker_ready"), last.value("tidings_store_up")], [0, undefined]);
  assertEquals(last.value("tidings_stream_length", { type: "Paid" }), undefined);
});

Deno.test("instrument() observes each partition, beside the sums", async () => {
  class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
    { auctionId: string }
  > {}
  await using broker = new InMemoryBroker({ events: [BidPlaced], streams: { Auction: { partitions: 4 } } });
  await using metrics = measure(broker);
  const gate = new Gate();
  await broker.subscribe(BidPlaced, () => gate.opened, { group: "bids", prefetch: 1 });
  await until(async () => {
    return (await groupOf(broker, BidPlaced, "bids")).partitions?.every(({ owner }) => owner !== undefined) === true;
  }, "each partition has a consumer");
  const auctions = Array.from({ length: 40 }, (_, n) => `auction-${n}`);
  await broker.publish(auctions.map((auctionId) => new BidPlaced({ auctionId })));
  const numbers = ["0", "1", "2", "3"];
  await until(
    async () => (await broker.info(BidPlaced)).groups[0]!.pending === numbers.length,
    "each partition has a delivery",
  );
  const scrape = await metrics.scrape();
  await checkWithPromtool(scrape);
  const { partitions } = await broker.info(BidPlaced);
  const [sum, own] = ["tidings_group_lag", "tidings_partition_lag"];
  assertEquals(scrape.values(own, "tidings_partition"), numbers);
  assertEquals([scrape.value(sum, { type: "Auction", group: "bids" }), scrape.value(own)], [36, 36]);
  for (const [nth, partition] of numbers.entries()) {
    const length = auctions.filter((auction) => partitionOf(auction, 4) === nth).length;
    const place = { tidings_partition: partition, type: "Auction" };
    assertEquals(scrape.value("tidings_partition_length", place), length);
    assertEquals(scrape.value("tidings_partition_size_bytes", place), partitions![nth]!.bytes);
    const inGroup = { ...place, group: "bids" };
    const values = ["lag", "pending", "consumers"].map((name) => scrape.value(`tidings_partition_${name}`, inGroup));
    assertEquals(values, [length - 1, 1, 1]);
  }
  assertEquals(scrape.value("tidings_group_consumers", { type: "Auction" }), 1);
  assertEquals(scrape.values("tidings_group_lag", "tidings_partition"), [""]);
  gate.open();
});

Deno.test("instrument() counts deferred events, and those that wait for a newer consumer", async () => {
  const url = `memory:${crypto.randomUUID()}`;
  class Newer extends defineEvent("Paid", { version: 2, upcast: { 1: (old: { n: number }) => old } })<{ n: number }> {}
  await using older = await connect(url, { events: [Paid] });
  await using newer = await connect(url, { events: [Newer] });
  await using metrics = measure(older);
  await older.subscribe(Paid, () => {}, { group: "mails" });
  await newer.publish(new Newer({ n: 1 }));
  await until(async () => (await groupOf(older, Paid, "mails")).deferred.length === 1, "the event is deferred");
  await until(async () => (await metrics.scrape()).value("tidings_events_deferred_total", mails) === 1, "it is told");
  assertEquals((await metrics.scrape()).value("tidings_group_deferred", mails), 1);
});

Deno.test("instrument() counts held keys, and events that wait behind their dead letter", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  let fatal = true;
  await broker.subscribe(Paid, ({ detail: { n } }) => {
    if (n === 0 && fatal) throw new PermanentError("no good");
  }, { group: "mails", key: ({ detail }) => `${detail.n % 2}`, whenDead: "hold-key" });
  await broker.publish(paid(5));
  await until(async () => (await groupOf(broker, Paid, "mails")).held.waiting === 2, "two events wait");
  await until(async () => (await metrics.scrape()).value("tidings_events_held_total", mails) === 2, "they are told");
  const scrape = await metrics.scrape();
  assertEquals([scrape.value("tidings_group_held_keys", mails), scrape.value("tidings_group_waiting", mails)], [1, 2]);
  assertEquals(
    scrape.value("tidings_events_dead_lettered_total", { ...mails, tidings_dead_letter_reason: "held" }),
    0,
  );
  fatal = false;
  await broker.redrive(Paid, { group: "mails" });
  await broker.idle({ group: "mails" });
  const after = await metrics.scrape();
  assertEquals([after.value("tidings_group_held_keys", mails), after.value("tidings_group_waiting", mails)], [0, 0]);
});

Deno.test("instrument() counts events that were removed before a group had read them", async () => {
  const store = new InMemoryStore();
  await using broker = new EventBroker(store, { events: [Paid] });
  await using metrics = measure(broker);
  await (await broker.subscribe(Paid, () => {}, { group: "mails" })).close();
  await broker.publish(paid(3));
  await store.admin("events:Paid").trim({ maxLength: 1, force: true });
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  await until(async () => (await metrics.scrape()).value("tidings_events_lost_total", mails) === 2, "losses are told");
});

Deno.test("instrument() counts how often a consumer got other partitions", async () => {
  class Sold extends defineEvent("Sold", { stream: "Shop", subject: "item" })<{ item: string }> {}
  const url = `memory:${crypto.randomUUID()}`;
  const options = { events: [Sold], streams: { Shop: { partitions: 4 } } };
  await using one = await connect(url, options);
  await using two = await connect(url, options);
  await using metrics = measure(one);
  const rebalances = async () =>
    (await metrics.scrape()).value("tidings_rebalances_total", { type: "Shop", group: "shelf" });
  await one.subscribe(Sold, () => {}, { group: "shelf" });
  await until(async () => await rebalances() === 1, "the first partitions are counted");
  await two.subscribe(Sold, () => {}, { group: "shelf" });
  await until(async () => await rebalances() === 2, "the loss is counted");
});

Deno.test("instrument() counts as handled what the store has settled, whatever else it refused", async () => {
  const store = new InMemoryStore();
  const join = store.member.bind(store);
  // As if the delivery of the failed attempt had been lost.
  store.member = async (...args) => {
    const member = await join(...args);
    const settle = member.settle.bind(member);
    member.settle = async (outcomes) => {
      const refused = outcomes.filter(({ kind }) => kind === "retry").map(({ position }) => position);
      return [...await settle(outcomes.filter(({ position }) => !refused.includes(position))), ...refused];
    };
    return member;
  };
  await using broker = new EventBroker(store, { events: [Paid] });
  await using metrics = measure(broker);
  const batches: number[] = [];
  broker.observe({
    settling: ({ outcomes }) => ({ ended: ({ refused }) => void batches.push(outcomes.length - refused.length) }),
  });
  await broker.publish(paid(4));
  await broker.subscribe(Paid, ({ detail: { n } }) => {
    if (n === 0) throw new Error("lost");
  }, { group: "mails", startFrom: "beginning", concurrency: 4, retry: SOON });
  await until(() => batches.reduce((sum, count) => sum + count, 0) === 3, "all but the lost one are settled");
  assertEquals((await metrics.scrape()).value("tidings_events_handled_total", mails), 3);
});

Deno.test("instrument() measures pulled deliveries", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  await broker.publish(paid(3));
  let pulled = 0;
  for await (const delivery of broker.consume(Paid, { group: "mails", retry: SOON, prefetch: 1 })) {
    if (++pulled === 1) await delivery.ack();
    else if (pulled === 2) await delivery.nack(new SyntaxError("no"));
    else break;
  }
  const scrape = await metrics.scrape();
  const duration = "messaging_process_duration_seconds_count";
  const received = { ...mails, messaging_operation_name: "receive" };
  assertEquals(scrape.value(duration, { ...received, tidings_delivery_outcome: "ack" }), 1);
  assertEquals(scrape.value(duration, { ...received, error_type: "SyntaxError" }), 1);
  assertEquals(scrape.value("messaging_client_consumed_messages_total", received), 3);
});

Deno.test("instrument() starts totals at zero", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  await broker.subscribe(Paid, () => {}, { group: "mails" });
  const scrape = await metrics.scrape();
  for (const type of ["Paid", "Ended"]) assertEquals(scrape.value("tidings_events_published_total", { type }), 0);
  for (const name of ["handled", "retried", "dead_lettered", "recovered", "deferred", "held", "lost"]) {
    assertEquals(scrape.value(`tidings_events_${name}_total`, mails), 0, name);
  }
  for (const name of ["leases_lost", "groups_lost"]) assertEquals(scrape.value(`tidings_${name}_total`, mails), 0);
  assertEquals(scrape.value("tidings_store_reconnects_total", { group: "mails" }), 0);
});

Deno.test("instrument() takes few values of error.type, whatever handlers throw", async () => {
  await using broker = new InMemoryBroker({ events });
  await using metrics = measure(broker);
  const hostile = new Proxy({}, {
    get() {
      throw new Error("a getter");
    },
  });
  const thrown: unknown[] = [undefined, null, "text", 5, Symbol("s"), hostile, { name: "NoError" }];
  const named = (n: number) => Object.assign(new Error(), { name: `Error${n}` });
  await broker.subscribe(Paid, ({ detail: { n } }) => {
    throw n < thrown.length ? thrown[n] : named(n);
  }, { group: "mails", concurrency: 10, retry: { maxAttempts: 1 } });
  await broker.publish(paid(200));
  await broker.idle();
  const scrape = await metrics.scrape();
  assertEquals(scrape.value("tidings_events_failed_total", mails), 200);
  const types = scrape.values("tidings_events_failed_total", "error_type");
  assert(types.includes("_OTHER") && types.length <= 101, `${types.length} types`);
  await checkWithPromtool(scrape);
});
