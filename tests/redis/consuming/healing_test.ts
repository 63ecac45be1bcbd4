// Guarantees 26, 27: groups, streams and entries that are lost.

import { assert, assertEquals, assertLess, assertRejects } from "@std/assert";
import {
  defineEvent,
  type EntriesLostEvent,
  type EventBroker,
  type GroupLostEvent,
  type Subscription,
} from "@tidings/broker";
import { groupKeys } from "../../../src/redis/_keys.ts";
import { comparePositions, StoreError } from "../../../src/store/mod.ts";
import { sleep, told, until } from "../../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { KINDS, LABELS, openBroker } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

class Counted extends defineEvent("Counted")<{ n: number }> {}

const STREAM = "events:Counted";
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, i) => from + i);

/** Waits until the group has settled all events, so that none can be repeated. */
async function allSettled(broker: EventBroker<typeof Counted>, name = "group"): Promise<void> {
  await until(async () => {
    const group = (await broker.info(Counted)).groups.find((group) => group.name === name);
    return group?.pending === 0 && group.lag === 0;
  }, `group ${name} has settled all events`);
}

interface Bench {
  readonly server: RedisServer;
  readonly broker: EventBroker<typeof Counted>;
  readonly subscription: Subscription;
  readonly handled: number[];
  readonly lost: readonly GroupLostEvent[];
  publish(numbers: readonly number[]): Promise<void>;
}

/** Runs a test on a consumer that has handled and settled `count` events, and waits in a blocked read. */
async function waiting(
  count: number,
  run: (bench: Bench) => Promise<void>,
  { kind, hold = () => {} }: { kind?: ClientKind | undefined; hold?: (n: number) => Promise<void> | void } = {},
): Promise<void> {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] }, kind);
  const publish = async (numbers: readonly number[]) => {
    await Promise.all(numbers.map((n) => broker.publish(new Counted({ n }))));
  };
  await publish(numbers(count));
  const handled: number[] = [];
  const handler = (event: Counted) => {
    handled.push(event.detail.n);
    return hold(event.detail.n);
  };
  const subscription = await broker.subscribe(Counted, handler, { group: "group", concurrency: 50, drainTimeout: 100 });
  const lost = told<GroupLostEvent>(subscription, "grouplost");
  await until(() => handled.length === count, "all events are handled");
  await until(async () => {
    const [group] = (await broker.info(Counted)).groups;
    return group!.pending === numbers(count).filter((n) => hold(n) !== undefined).length && group!.lag === 0;
  }, "all events are settled");
  await until(async () => await server.blockedClients() === 1, "a read blocks");
  try {
    await run({ server, broker, subscription, handled, lost, publish });
  } finally {
    await subscription.close();
  }
}

/** The share of a processor that the server uses: other tests have servers of their own. */
async function load(server: RedisServer, ms: number): Promise<number> {
  const used = async () => {
    const info = await server.cli("INFO", "cpu");
    const seconds = ["sys", "user"].map((kind) => Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(info)![1]));
    return 1_000 * (seconds[0]! + seconds[1]!);
  };
  const before = await used();
  await sleep(ms);
  return (await used() - before) / ms;
}

const DISASTERS: Readonly<Record<string, (server: RedisServer) => Promise<unknown>>> = {
  "its stream was deleted": (server) => server.cli("DEL", STREAM),
  "FLUSHALL took everything": (server) => server.cli("FLUSHALL"),
  "its stream was renamed": (server) => server.cli("RENAME", STREAM, "elsewhere"),
};

for (const kind of KINDS) {
  for (const [title, strike] of Object.entries(DISASTERS)) {
    Deno.test(`subscribe() by ${LABELS[kind]} goes on when ${title} while it waits`, async () => {
      await waiting(100, async ({ server, broker, handled, lost, publish }) => {
        await strike(server);
        await until(() => lost.length > 0, "the loss is reported");
        await publish(numbers(100, 100));
        await until(() => handled.length >= 200, "the later events are handled");
        await allSettled(broker);
        assertEquals(handled, numbers(200));
        assertEquals(lost.map(({ eventType, from, mayRepeat }) => [eventType, from, mayRepeat]), [
          ["Counted", undefined, false],
        ]);
        const { length, groups } = await broker.info(Counted);
        assertEquals([length, groups[0]!.pending, groups[0]!.lag], [100, 0, 0]);
      }, { kind });
    });
  }

  Deno.test(`subscribe() by ${LABELS[kind]} repeats only unsettled events when its group is destroyed`, async () => {
    await destroyed((n) => n >= 9_990, 9_990, kind);
  });
}

Deno.test("subscribe() repeats no event before the first unsettled one when its group is destroyed", async () => {
  await destroyed((n) => n > 0 && n % 2_000 === 0, 2_000);
});

/** Destroys a group with 10,000 events, some of which are being handled: it must go on with the first of those. */
async function destroyed(isBusy: (n: number) => boolean, first: number, kind?: ClientKind): Promise<void> {
  const gate = Promise.withResolvers<void>();
  const hold = (n: number) => isBusy(n) ? gate.promise : undefined;
  await waiting(10_000, async ({ server, broker, handled, lost, publish }) => {
    assertEquals(await server.cli("XGROUP", "DESTROY", STREAM, "group"), "1");
    await until(() => lost.length > 0, "the loss is reported");
    gate.resolve();
    await publish(numbers(10, 10_000));
    await until(() => handled.length >= 10_010 + 10_000 - first, "the unsettled and the later events are handled");
    await until(async () => {
      const [group] = (await broker.info(Counted)).groups;
      return group!.pending === 0 && group!.lag === 0;
    }, "all events are settled");
    assertEquals(
      handled.toSorted((a, b) => a - b),
      [...numbers(10_010), ...numbers(10_000 - first, first)].sort((a, b) => a - b),
    );
    const [at] = await Array.fromAsync(broker.history(Counted, { from: lost[0]!.from!, limit: 1 }));
    assertEquals([lost.length, lost[0]!.mayRepeat, at!.detail.n], [1, true, first]);
  }, { kind, hold });
}

Deno.test("subscribe() repeats nothing when its group is destroyed and all events were settled", async () => {
  await waiting(10_000, async ({ server, broker, handled, lost, publish }) => {
    await server.cli("XGROUP", "DESTROY", STREAM, "group");
    await until(() => lost.length > 0, "the loss is reported");
    await publish(numbers(10, 10_000));
    await until(() => handled.length >= 10_010, "the later events are handled");
    await allSettled(broker);
    assertEquals(handled, numbers(10_010));
    assertEquals(lost.length, 1);
    assertEquals(lost[0]!.mayRepeat, false);
    const [next] = await Array.fromAsync(broker.history(Counted, { from: lost[0]!.from!, limit: 1 }));
    assert(next === undefined || next.detail.n >= 9_999);
  });
});

Deno.test("subscribe() keeps the server idle when its group is destroyed again and again", async () => {
  await waiting(100, async ({ server, handled, lost, publish }) => {
    for (let time = 1; time <= 5; time++) {
      await server.cli("XGROUP", "DESTROY", STREAM, "group");
      await until(() => lost.length === time, "the loss is reported");
    }
    assertLess(await load(server, 500), 0.2);
    await publish(numbers(10, 100));
    await until(() => handled.length >= 110, "the later events are handled");
    assertEquals([handled, lost.length], [numbers(110), 5]);
  });
});

Deno.test("subscribe() reports each lost group, and only once among several consumers", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await using other = await openBroker(server.url, { events: [Counted] });
  const handled: string[] = [];
  const lost: GroupLostEvent[][] = [];
  for (const [who, group] of [[broker, "one"], [other, "one"], [broker, "two"]] as const) {
    const handler = (event: Counted) => void handled.push(`${group} ${event.detail.n}`);
    lost.push(told(await who.subscribe(Counted, handler, { group }), "grouplost"));
  }
  await broker.publish(new Counted({ n: 1 }));
  await until(() => handled.length === 2, "both groups have the first event");
  await until(async () => await server.blockedClients() === 3, "three reads block");
  await server.cli("FLUSHALL");
  await until(() => lost[0]!.length + lost[1]!.length > 0 && lost[2]!.length > 0, "both groups report the loss");
  await broker.publish(new Counted({ n: 2 }));
  await until(() => handled.length === 4, "both groups have the second event");
  for (const group of ["one", "two"]) await allSettled(broker, group);
  await until(async () => await server.blockedClients() === 3, "three reads block again");
  assertEquals(handled.sort(), ["one 1", "one 2", "two 1", "two 2"]);
  assertEquals([lost[0]!.length + lost[1]!.length, lost[2]!.length], [1, 1]);
});

for (
  const [title, strike, afterwards, from] of [
    ["its group was destroyed", ["XGROUP", "DESTROY", STREAM, "group"], numbers(20, 5), 5],
    ["its stream was deleted", ["DEL", STREAM], numbers(10, 15), undefined],
  ] as const
) {
  Deno.test(`subscribe() goes on at the checkpoint, and says so, when ${title} while no consumer ran`, async () => {
    await using server = await RedisServer.start();
    await using broker = await openBroker(server.url, { events: [Counted] });
    const publish = (count: number, from: number) =>
      broker.publish(numbers(count, from).map((n) => new Counted({ n })));
    const first = await broker.subscribe(Counted, ({ detail: { n } }) => {
      if (n === 5) throw new Error("not yet");
    }, { group: "group", startFrom: "now", retry: { minTimeout: 3_600_000, jitter: 0 } });
    const retried = told(first, "retry");
    const positions = await publish(10, 0);
    await until(() => retried.length > 0, "the sixth event waits for its retry");
    await until(async () => (await broker.info(Counted)).groups[0]!.pending === 1, "the others are settled");
    await first.close();
    await publish(5, 10);
    await server.cli(...strike);
    await publish(10, 15);
    const handled: number[] = [];
    await using subscription = await broker.subscribe(Counted, ({ detail }) => void handled.push(detail.n), {
      group: "group",
      startFrom: "now",
    });
    const lost = told<GroupLostEvent>(subscription, "grouplost");
    await until(() => handled.length >= afterwards.length, "the unsettled and the later events are handled");
    await allSettled(broker);
    assertEquals(handled, afterwards);
    assertEquals(lost.length, 1);
    if (from === undefined) return;
    const [next] = await Array.fromAsync(broker.history(Counted, { from: lost[0]!.from!, limit: 1 }));
    assertEquals([next!.position, lost[0]!.mayRepeat], [positions[from], true]);
  });
}

/** The data of "entrieslost" events. */
const losses = (lost: readonly EntriesLostEvent[]) =>
  lost.map(({ eventType, from, to, count, positions }) => ({ eventType, from, to, count, positions }));

Deno.test("subscribe() reports lost events when redis-cli trimmed them while no consumer ran", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  await (await broker.subscribe(Counted, () => {}, { group: "group" })).close();
  const positions = await broker.publish(numbers(100).map((n) => new Counted({ n })));
  assertEquals(await server.cli("XTRIM", STREAM, "MAXLEN", "10"), "90");
  const handled: number[] = [];
  await using subscription = await broker.subscribe(Counted, ({ detail }) => void handled.push(detail.n), {
    group: "group",
  });
  const lost = told<EntriesLostEvent>(subscription, "entrieslost");
  await until(() => lost.length > 0 && handled.length === 10, "the loss is reported, and the other events are handled");
  assertEquals(handled, numbers(10, 90));
  const [{ from, to, ...rest }] = losses(lost) as [ReturnType<typeof losses>[0]];
  assertEquals([lost.length, rest], [1, { eventType: "Counted", count: 90, positions: [] }]);
  assert(comparePositions(from, positions[0]!) <= 0, `${from} is after the first lost event`);
  assert(
    comparePositions(to, positions[89]!) >= 0 && comparePositions(to, positions[90]!) < 0,
    `${to} is not the position of the last lost event`,
  );
});

Deno.test("subscribe() reports lost events when redis-cli trims or deletes them while its handlers are busy", async () => {
  await using server = await RedisServer.start();
  await using broker = await openBroker(server.url, { events: [Counted] });
  const positions = await broker.publish(numbers(100).map((n) => new Counted({ n })));
  const gates = Array.from({ length: 2 }, () => Promise.withResolvers<void>());
  const handled: number[] = [];
  await using subscription = await broker.subscribe(Counted, ({ detail: { n } }) => {
    handled.push(n);
    return n === 0 ? gates[0]!.promise : n === 50 ? gates[1]!.promise : undefined;
  }, { group: "group", prefetch: 1 });
  const lost = told<EntriesLostEvent>(subscription, "entrieslost");
  // A consumer that reads without a pause compares four times a second, and may read past a gap before it does.
  const pause = async () => {
    const looked = parseInt(await server.cli("HGET", groupKeys(STREAM, "group").meta, "mark"));
    await until(() => Date.now() - looked > 300, "the consumer compares before its next read");
  };
  await until(() => handled.length === 1, "the first event is being handled");
  assertEquals(await server.cli("XTRIM", STREAM, "MAXLEN", "50"), "50");
  await pause();
  gates[0]!.resolve();
  await until(() => handled.includes(50), "the consumer reads past the gap");
  assertEquals(await server.cli("XDEL", STREAM, positions[70]!), "1");
  await pause();
  gates[1]!.resolve();
  await until(() => handled.includes(99), "the last event is handled");
  const kept = numbers(100).filter((n) => (n === 0 || n >= 50) && n !== 70);
  assertEquals(handled, kept);
  assertEquals(losses(lost).map(({ count, positions }) => [count, positions]), [[49, []], [1, []]]);
  assertEquals([lost[1]!.from, lost[1]!.to], [positions[70], positions[70]]);
});

Deno.test("a group of a shared stream that is made again keeps its event types", async () => {
  class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction" })<{ n: number }> {}
  class AuctionEnded extends defineEvent("AuctionEnded", { stream: "Auction" })<{ n: number }> {}
  await using server = await RedisServer.start();
  const open = () => openBroker(server.url, { events: [BidPlaced, AuctionEnded] });
  await using broker = await open();
  await using other = await open();
  const handled: number[] = [];
  const note = (event: BidPlaced | AuctionEnded) => void handled.push(event.detail.n);
  const first = await broker.subscribe(BidPlaced, note, { group: "group" });
  const lost = told<GroupLostEvent>(first, "grouplost");
  await broker.publish(new BidPlaced({ n: 1 }));
  await until(() => handled.length === 1, "the bid is handled");
  await server.cli("FLUSHALL");
  await until(() => lost.length === 1, "the group is made again");
  assertEquals((await broker.info(BidPlaced)).groups[0]!.types, ["BidPlaced"]);

  await assertRejects(() => other.subscribe(AuctionEnded, note, { group: "group" }), StoreError, "is for BidPlaced");
  await other.subscribe(BidPlaced, note, { group: "group" });
  await broker.publish([new AuctionEnded({ n: 2 }), new BidPlaced({ n: 3 })]);
  await until(() => handled.includes(3), "the next bid is handled");
  assertEquals(handled, [1, 3]);
});
