// The rules in docs/README_REDIS.md allow each role its work, and nothing else.

import { assert, assertEquals, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, type EventBroker, PermanentError } from "@tidings/broker";
import { openRedisStore } from "../../../src/redis/mod.ts";
import { told, until, within } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openBroker, openConnection, openStore } from "../_bench.ts";
import { readPage } from "../../docs/_markdown.ts";
import type { EventStore, GroupMember } from "../../../src/store/mod.ts";
import { modulesIn } from "../../structure/_imports.ts";
import { allowedBy, MEASURING, neededBy, REPARTITIONING, ROLES, rulesOf, TRIMMING } from "./_permissions.ts";
import { RedisCluster } from "../_cluster.ts";
import { RedisServer } from "../_server.ts";
import { measure } from "../../telemetry/_scrape.ts";

class Sold extends defineEvent("Sold")<{ n: number }> {}
class BidPlaced extends defineEvent("BidPlaced", { stream: "Auction", subject: "auctionId" })<
  { auctionId: string; n: number }
> {}
const events = [Sold];
const group = "shop";
const REFUSED = /its user lacks a permission; grant it with ACL SETUSER/;

// Commands for long lists and for ending a blocked read, which not every run needs.
const RARE = ["zcount", "client|unblock"];

type RoleName = keyof typeof ROLES;

/** A server with a user of each role, all with the same password. */
async function guarded(): Promise<RedisServer> {
  const server = await RedisServer.start();
  for (const role of Object.keys(ROLES)) {
    assertEquals(await server.cli("ACL", "SETUSER", role, ...rulesOf(role)), "OK");
  }
  return server;
}

function urlOf({ port }: RedisServer, role: RoleName): URL {
  return new URL(`redis://${role}:secret@127.0.0.1:${port}`);
}

const as = (server: RedisServer, role: RoleName, options: { retention?: { maxLength: number } } = {}) =>
  connect(urlOf(server, role), { events, publishTimeout: 5_000, ...options });

/** Asserts that all attempts are refused at once, and change nothing. */
async function assertRefused(server: RedisServer, attempts: Readonly<Record<string, () => Promise<unknown>>>) {
  const before = await contents(server);
  for (const [name, attempt] of Object.entries(attempts)) {
    const error = await within(assertRejects(attempt, Error, undefined, name), name, 2_000);
    assertMatch(error.message, REFUSED, name);
  }
  assertEquals(await contents(server), before);
}

/** Asserts that the server refuses these commands to a role. */
async function assertForbidden(server: RedisServer, role: RoleName, commands: readonly string[]): Promise<void> {
  const connection = await openConnection(urlOf(server, role));
  for (const command of commands) {
    const { message } = await assertRejects(() => connection.send(command.split(" ")), Error);
    assertMatch(message, /^NOPERM|ERR The user executing the script can't|ACL failure in script/, command);
  }
  connection.close();
}

/** All keys of the server, each with a digest of its value. */
async function contents(server: RedisServer): Promise<string> {
  const script = `local all = redis.call('KEYS', '*')
    table.sort(all)
    for at, key in ipairs(all) do all[at] = key .. ' ' .. redis.sha1hex(redis.call('DUMP', key)) end
    return all`;
  return await server.cli("EVAL", script, "0");
}

/** Removes all scripts from the server, and resets its statistics. */
async function forget(server: RedisServer): Promise<void> {
  await server.cli("SCRIPT", "FLUSH");
  await server.cli("CONFIG", "RESETSTAT");
}

/** The commands that the server has run since then. */
async function commandsRun(server: RedisServer): Promise<Set<string>> {
  const stats = await server.cli("INFO", "commandstats");
  const names = [...stats.matchAll(/^cmdstat_([^:]+):calls=(\d+)/gm)].filter(([, , calls]) => calls !== "0");
  return new Set(names.map(([, name]) => name!));
}

const sold = (count: number) => Array.from({ length: count }, (_, n) => new Sold({ n }));
const numbers = (list: readonly Sold[]) => list.map(({ detail }) => detail.n);

/** Publishes three events: the group handles one, one becomes a dead letter, and one waits for its retry. */
async function someHistory(server: RedisServer): Promise<void> {
  await using broker: EventBroker<typeof Sold> = await connect(server.url, { events });
  await broker.publish(sold(3));
  const letters: Event[] = [];
  const subscription = await broker.subscribe(Sold, ({ detail }) => {
    if (detail.n === 1) throw new PermanentError("not wanted");
    if (detail.n === 2) throw new Error("not now");
  }, { group, retry: { minTimeout: 60_000, jitter: 0 } });
  subscription.addEventListener("deadletter", (event) => letters.push(event));
  await until(async () => {
    const { lag, retrying } = (await broker.info(Sold)).groups[0]!;
    return lag === 0 && retrying > 0 && letters.length > 0;
  }, "the group has done so");
}

/** Writes a shared text, and removes it. */
async function useState(store: EventStore): Promise<void> {
  const state = store.state("events:Other", "layout");
  assert(await state.write("text", 0));
  assert(await state.write(undefined, (await state.read()).version));
}

for (const [name, role] of Object.entries(ROLES)) {
  Deno.test(`docs/README_REDIS.md allows a ${name} the commands that it sends, and no others`, () => {
    assertEquals([...allowedBy(rulesOf(name))].sort(), [...neededBy(role)].sort());
  });
}

Deno.test("docs/README_REDIS.md allows trimming, measuring, and all commands to a user for everything", () => {
  const all = new Set([...Object.values(ROLES), TRIMMING].flatMap((role) => [...neededBy(role)]));
  assertEquals([...allowedBy(rulesOf("tidings"))].sort(), [...all, "select"].sort());
  assertEquals([...allowedBy(rulesOf("trimmer"))].sort(), [...neededBy(TRIMMING)].sort());
  assertEquals([...allowedBy(rulesOf("measured"))].sort(), [...neededBy(MEASURING)].sort());
  const operator = allowedBy(rulesOf("operator"));
  const more = [...neededBy(REPARTITIONING)].filter((command) => !operator.has(command));
  assertEquals([...allowedBy(rulesOf("repartitioner"))].sort(), more.sort());
});

Deno.test("docs/README_REDIS.md has a role or a note for each command that the store sends", async () => {
  const all = new Set([...Object.values(ROLES), TRIMMING].flatMap((role) => [...neededBy(role)]));
  // All users may log in. The page names the others: for a database, durability, a cluster and Sentinels.
  const noted = [
    "auth",
    "select",
    "wait",
    "waitaof",
    "asking",
    "cluster|slots",
    "sentinel|get-master-addr-by-name",
    "sentinel|master",
  ];
  const page = readPage("docs/README_REDIS.md");
  for (const name of noted.slice(1)) assert(page.includes(`+${name}`), name);
  for (const file of modulesIn("src/redis")) {
    const text = await Deno.readTextFile(file);
    for (const [, name, sub] of text.matchAll(/[\[(]\[\s*"([A-Z]{3,})"(?:, "([A-Z-]{2,})")?/g)) {
      const [plain, full] = [name!, `${name}|${sub}`].map((one) => one.toLowerCase());
      assert([plain, full].some((one) => all.has(one!) || noted.includes(one!)), `${plain} of ${file}`);
    }
  }
});

for (const kind of KINDS) {
  Deno.test(`ACL rules of a publisher by ${LABELS[kind]} allow publishing, and nothing else`, async () => {
    await using server = await guarded();
    await someHistory(server);
    await forget(server);
    await using broker = await openBroker(urlOf(server, "publisher"), { events, publishTimeout: 5_000 }, kind);
    await broker.publish(new Sold({ n: 3 }));
    await broker.publish(sold(2));
    assertEquals(await server.cli("XLEN", "events:Sold"), "6");
    const store = await openStore(urlOf(server, "publisher"), kind);
    await store.append("events:Other#0", [["id", "1"]], { layout: 1 });
    await useState(store);
    await store.admin("events:New").info();
    const schedule = store.schedule("events:Other#0", 1);
    await schedule.add([{ id: "a", fields: ["id", "a"], when: { delay: 0 } }]);
    assertEquals((await schedule.take(1)).records.length, 1);
    await schedule.taken(1);
    await store[Symbol.asyncDispose]();
    const [kept, cancelled] = [new Sold({ n: 6 }), new Sold({ n: 7 })];
    await broker.publish([kept, cancelled], { delay: 60_000 });
    assertEquals(numbers(await Array.fromAsync(broker.scheduled(Sold))), [6, 7]);
    assert(await broker.unschedule(Sold, cancelled.id));
    assert(await broker.reschedule(Sold, kept.id, { delay: 0 }));
    await until(async () => await server.cli("XLEN", "events:Sold") === "7", "the scheduled event is stored");
    const run = await commandsRun(server);
    for (const command of allowedBy(rulesOf("publisher"))) {
      // Only `connect` sends it.
      if (command !== "info") assert(run.has(command), `${command} was not needed`);
    }
    await assertRefused(server, {
      subscribe: () => broker.subscribe(Sold, () => {}, { group }),
      history: () => Array.fromAsync(broker.history(Sold)),
      info: () => broker.info(Sold),
      letters: () => Array.fromAsync(broker.deadLetters(Sold, { group })),
      redrive: () => broker.redrive(Sold, { group }),
      rewind: () => broker.rewind(Sold, { group, to: "beginning" }),
      delete: () => broker.deleteGroup(Sold, { group, force: true }),
    });
    await assertForbidden(server, "publisher", [
      "EVAL return(redis.call('xadd','other:Sold','*','a','1')) 1 other:Sold",
      "EVAL return(1) 1 {events:Sold}:dead:shop",
      "SET {events:Sold}:layout 9",
      "XTRIM events:Sold MAXLEN 0",
      "DEL events:Sold",
      "KEYS *",
      "CONFIG GET *",
    ]);
  });
}

/** Has the group "holder" hold a key, and a delivery wait for it. */
async function holdKey(store: EventStore): Promise<GroupMember> {
  const options = { consumer: "me", lease: 60_000, startFrom: "beginning", whenDead: "hold-key" } as const;
  const member = await store.member("events:Sold", "holder", options);
  const [first, second, third] = (await member.claim({ limit: 3, signal: AbortSignal.timeout(5_000) })).records;
  const error = { name: "Error", message: "no" };
  await member.settle([
    { kind: "retry", ...first!, attempt: 1, delay: 60_000 },
    { kind: "dead", ...second!, reason: "permanent", attempts: 1, error, key: "k" },
    { kind: "wait", ...third!, key: "k" },
  ]);
  assertEquals((await member.held([{ ...third!, key: "k" }])).positions, [third!.position]);
  return member;
}

/** Has an exclusive consumer claim what is there, and wait for a new event. */
async function consumeAlone(server: RedisServer, store: EventStore, publish: () => Promise<unknown>): Promise<void> {
  const member = await store.member("events:Sold", "alone", {
    consumer: "me",
    lease: 60_000,
    startFrom: "beginning",
    exclusive: true,
  });
  const claim = async () => (await member.claim({ limit: 100, signal: AbortSignal.timeout(5_000) })).records;
  assert((await claim()).length > 0);
  const next = claim();
  await until(async () => (await server.cli("CLIENT", "LIST")).includes("cmd=xread "), "a read blocks");
  await publish();
  assertEquals((await next).length, 1);
  await member.leave();
}

/** A broker of a stream with partitions. */
const inPartitions = (server: RedisServer, role: RoleName, partitions = 2) =>
  connect(urlOf(server, role), { events: [BidPlaced], streams: { Auction: { partitions } }, publishTimeout: 5_000 });

for (const first of ["publisher", "consumer"] as const) {
  Deno.test(`ACL rules allow to use a stream with partitions, and to change their number: the ${first} is first`, async () => {
    await using server = await guarded();
    const bids = (count: number) => Array.from({ length: count }, (_, n) => new BidPlaced({ auctionId: `a-${n}`, n }));
    await using publisher = await inPartitions(server, "publisher");
    await using consumer = await inPartitions(server, "consumer");
    await using operator = await inPartitions(server, "operator");
    await using observer = await inPartitions(server, "observer");
    if (first === "publisher") await publisher.publish(bids(10));
    const handled: number[] = [];
    const failures: unknown[] = [];
    for (const assignment of ["exclusive", "shared"] as const) {
      const subscription = await consumer.subscribe(BidPlaced, ({ detail }) => void handled.push(detail.n), {
        group: assignment,
        assignment,
      });
      subscription.addEventListener("error", ({ error }) => failures.push(error));
    }
    if (first === "consumer") await publisher.publish(bids(10));
    const [bid] = bids(1);
    await publisher.publish(bid!, { expected: { subject: "a-0", revision: 1 } });
    await until(() => handled.length === 22, "both groups have handled all events");
    assertEquals((await observer.info(BidPlaced)).length, 11);

    await assertRefused(server, { subscribe: () => operator.subscribe(BidPlaced, () => {}, { group }) });
    const refused = await assertRejects(() => operator.repartition(BidPlaced, { partitions: 3 }), Error);
    assertMatch(refused.message, REFUSED);
    assertEquals(await server.cli("ACL", "SETUSER", "operator", ...rulesOf("repartitioner")), "OK");
    await operator.repartition(BidPlaced, { partitions: 3 });
    await publisher.publish(bids(10));
    await until(() => handled.length === 42, "both groups have handled the events of the new partitions");
    assertEquals(failures, []);
    const revisions = await Array.fromAsync(
      observer.history(BidPlaced, { subject: "a-0" }),
      ({ revision }) => revision,
    );
    assertEquals(revisions, [1, 2, 3]);
    await assertForbidden(server, "operator", ["XREADGROUP GROUP exclusive me STREAMS events:Auction#0 >"]);
  });
}

Deno.test("ACL rules of a consumer allow consuming, retries, dead letters, recovery and healing, and nothing else", async () => {
  await using server = await guarded();
  await using publisher = await as(server, "publisher");
  await forget(server);
  await using broker = await as(server, "consumer");
  await using second = await as(server, "consumer");
  const handled: number[] = [];
  const failed = new Set<number>();
  const rate = { limit: 1_000, per: 1_000 };
  const options = { group, lease: 400, retry: { minTimeout: 5, maxAttempts: 2 }, drainTimeout: 50, rate };
  const handler = ({ detail: { n } }: Sold) => {
    if (n === 1) throw new PermanentError("not wanted");
    if (n === 2 && !failed.has(n)) {
      failed.add(n);
      throw new Error("not now");
    }
    handled.push(n);
  };
  const subscription = await broker.subscribe(Sold, handler, options);
  const letters = told(subscription, "deadletter");
  const lost = told(subscription, "grouplost");
  await publisher.publish(sold(4));
  await until(() => handled.length === 3 && letters.length === 1, "all events are settled");
  assertEquals(handled.toSorted(), [0, 2, 3]);

  // A consumer dies with a delivery: its store is closed without leaving the group.
  const store = await openRedisStore(urlOf(server, "consumer"));
  await subscription.close();
  const dying = await store.member("events:Sold", group, { consumer: "dying", lease: 200, startFrom: "beginning" });
  await publisher.publish(new Sold({ n: 4 }));
  assertEquals((await dying.claim({ limit: 1, signal: AbortSignal.timeout(5_000) })).records.length, 1);
  await useState(store);
  // As after failures in a row.
  const control = store.admin("events:Sold").control(group);
  assertEquals(await control.write('{"paused":{"since":1,"until":2}}', (await control.read()).version), true);
  const holder = await holdKey(store);
  await server.cli("XGROUP", "DESTROY", "events:Sold", "holder");
  await holder.renew([]);
  await holder.leave();
  await consumeAlone(server, store, () => publisher.publish(new Sold({ n: 9 })));
  await store[Symbol.asyncDispose]();
  const again = await second.subscribe(Sold, handler, options);
  const recovered = told(again, "recovered");
  const lostAgain = told(again, "grouplost");
  await until(() => handled.includes(4), "the delivery of the dead consumer is handled");
  assertEquals(recovered.length, 1);

  await server.cli("XGROUP", "DESTROY", "events:Sold", group);
  await until(() => lost.length + lostAgain.length === 1, "the group is created again");
  await publisher.publish(new Sold({ n: 5 }));
  await until(() => handled.includes(5), "consuming goes on");
  await again.close();
  assertEquals(await server.cli("XINFO", "CONSUMERS", "events:Sold", group), "");

  await broker.info(Sold);
  const run = await commandsRun(server);
  for (const command of allowedBy(rulesOf("consumer"))) assert(run.has(command), `${command} was not needed`);
  await assertRefused(server, {
    publish: () => broker.publish(new Sold({ n: 6 })),
    history: () => Array.fromAsync(broker.history(Sold)),
    redrive: () => broker.redrive(Sold, { group }),
    rewind: () => broker.rewind(Sold, { group, to: "beginning" }),
    delete: () => broker.deleteGroup(Sold, { group, force: true }),
  });
  await assertForbidden(server, "consumer", [
    "XREADGROUP GROUP shop me STREAMS other:Sold >",
    "EVAL return(1) 1 {events:Sold}:layout",
    "HMGET {events:Sold}:producer:1 last",
    "XADD events:Sold * payload {}",
    "EVAL return(redis.call('xtrim',KEYS[1],'MAXLEN','0')) 1 events:Sold",
    "XDEL events:Sold 1-0",
    "DEL events:Sold",
    "XGROUP DESTROY events:Sold shop",
    "XGROUP SETID events:Sold shop 0",
  ]);
});

Deno.test("ACL rules of an observer allow reading events, groups and dead letters, and writing nothing", async () => {
  await using server = await guarded();
  await someHistory(server);
  await using publisher = await as(server, "publisher");
  await using consumer = await as(server, "consumer");
  await consumer.subscribe(Sold, () => {}, { group, consumer: "till" });
  await forget(server);
  await using broker = await as(server, "observer");
  const { length, groups: [state] } = await broker.info(Sold);
  assertEquals([length, state!.name, state!.pending, state!.retrying, state!.deadLetters], [3, group, 1, 1, 1]);
  assertEquals(state!.consumers.map(({ alive }) => alive), [true]);
  assertEquals(numbers(await Array.fromAsync(broker.history(Sold))), [0, 1, 2]);
  assertEquals(numbers(await Array.fromAsync(broker.history(Sold, { reverse: true, limit: 2 }))), [2, 1]);
  const letters = await Array.fromAsync(broker.deadLetters(Sold, { group }));
  assertEquals(letters.map(({ event }) => event?.detail.n), [1]);
  assertEquals(await Array.fromAsync(broker.scheduled(Sold)), []);
  assertEquals(await broker.redrive(Sold, { group, dryRun: true }), 1);
  const store = await openRedisStore(urlOf(server, "observer"));
  assertEquals((await store.state("events:Sold", "layout").read()).version, 0);
  await store[Symbol.asyncDispose]();

  const heard: number[] = [];
  broker.addEventListener("Sold", ({ detail }) => void heard.push(detail.n));
  const following = broker.history(Sold, { follow: true });
  for (const n of [0, 1, 2]) assertEquals((await following.next()).value?.detail.n, n);
  const next = following.next();
  await until(
    async () => (await server.cli("CLIENT", "LIST")).match(/cmd=xread .*user=observer/g)?.length === 1,
    "a read blocks",
  );
  await publisher.publish(new Sold({ n: 3 }));
  assertEquals((await within(next, "the next event")).value?.detail.n, 3);
  await until(() => heard.length === 1, "the event is heard");
  // This ends a blocked read that is shared with the listener.
  await following.return();
  // From then on only a refused attempt could change anything on the server.
  await until(async () => {
    const { lag, pending } = (await broker.info(Sold)).groups[0]!;
    return lag === 0 && pending === 1;
  }, "the consumer has settled the event");

  const run = await commandsRun(server);
  for (const command of allowedBy(rulesOf("observer"))) {
    if (!RARE.includes(command)) assert(run.has(command), `${command} was not needed`);
  }
  await assertRefused(server, {
    publish: () => broker.publish(new Sold({ n: 6 })),
    subscribe: () => broker.subscribe(Sold, () => {}, { group }),
    later: () => broker.publish(new Sold({ n: 6 }), { delay: 1 }),
    unschedule: () => broker.unschedule(Sold, "1"),
    redrive: () => broker.redrive(Sold, { group }),
    rewind: () => broker.rewind(Sold, { group, to: "beginning" }),
    delete: () => broker.deleteGroup(Sold, { group, force: true }),
  });
  await assertForbidden(server, "observer", [
    "EVAL_RO return(1) 1 other:Sold",
    "XRANGE other:Sold - +",
    "XADD events:Sold * payload {}",
    "XACK events:Sold shop 1-0",
    "DEL events:Sold",
    "KEYS *",
  ]);
});

Deno.test("ACL rules of an operator allow redriving, rewinding, trimming and deleting groups, and neither publishing nor consuming", async () => {
  await using server = await guarded();
  await someHistory(server);
  const consumers = await openRedisStore(server.url);
  await (await holdKey(consumers)).leave();
  await consumers[Symbol.asyncDispose]();
  await forget(server);
  await using broker = await as(server, "operator");
  const store = await openRedisStore(urlOf(server, "operator"));
  const admin = store.admin("events:Sold");
  assertEquals(await admin.deadLetters("holder").redrive(), 1);
  assertEquals(await admin.removeGroup("holder", { force: true }), true);
  assertEquals((await Array.fromAsync(broker.deadLetters(Sold, { group }))).length, 1);
  assertEquals(await broker.redrive(Sold, { group }), 1);
  // The redriven delivery now waits for a consumer, like the retry.
  assertEquals((await broker.info(Sold)).groups[0]!.pending, 2);
  assertEquals((await admin.trim({ maxAge: 3_600_000, maxLength: 1 })).removed, 1);
  assertEquals((await broker.rewind(Sold, { group, to: "beginning" })).dropped, 2);
  // A letter whose entry was trimmed is redriven from a copy.
  await someHistory(server);
  await admin.trim({ maxLength: 0, force: true });
  const [letter] = await Array.fromAsync(broker.deadLetters(Sold, { group }));
  assertEquals(await broker.redrive(Sold, { group, ids: [letter!.id] }), 1);
  await assertRejects(() => broker.deleteGroup(Sold, { group }), Error, "force");
  await assertRefused(server, {
    publish: () => broker.publish(new Sold({ n: 6 })),
    subscribe: () => broker.subscribe(Sold, () => {}, { group }),
  });
  await broker.deleteGroup(Sold, { group, force: true });
  assertEquals(await server.cli("XINFO", "GROUPS", "events:Sold"), "");
  await useState(store);
  await store.admin("events:Other#0").fence(2);
  await store[Symbol.asyncDispose]();
  const run = await commandsRun(server);
  for (const command of allowedBy(rulesOf("operator"))) {
    if (!RARE.includes(command)) assert(run.has(command), `${command} was not needed`);
  }
  await assertForbidden(server, "operator", [
    "XADD events:Sold * payload {}",
    "XREADGROUP GROUP shop me STREAMS events:Sold >",
    "DEL events:Sold",
    "XDEL events:Sold 1-0",
    "EVAL return(1) 1 {events:Sold}:producer:1",
    "FLUSHALL",
  ]);
});

Deno.test("ACL rules of a publisher with a retention need trimming, and an error says so", async () => {
  await using server = await guarded();
  await using broker = await as(server, "publisher", { retention: { maxLength: 10 } });
  const errors = told<Event & { error: Error }>(broker, "error");
  await broker.publish(sold(200));
  await until(() => errors.length > 0, "the error is reported");
  assertMatch(errors[0]!.error.message, REFUSED);
  assertEquals(await server.cli("XLEN", "events:Sold"), "200");

  await server.cli("ACL", "SETUSER", "publisher", ...rulesOf("trimmer"));
  await using allowed = await as(server, "publisher", { retention: { maxLength: 10 } });
  allowed.addEventListener("error", ({ error }) => errors.push(error as never));
  await allowed.publish(sold(200));
  await until(async () => await server.cli("XLEN", "events:Sold") === "10", "the stream is trimmed");
});

Deno.test("ACL rules of a publisher need more to measure streams and groups, and those of a consumer for bytes", async () => {
  await using server = await guarded();
  await someHistory(server);
  await using publisher = await as(server, "publisher");
  await using consumer = await as(server, "consumer");
  await consumer.subscribe(Sold, () => {}, { group });
  for (const [role, broker] of [["publisher", publisher], ["consumer", consumer]] as const) {
    await using metrics = measure(broker);
    const before = await metrics.scrape();
    assertEquals([before.value("tidings_store_up"), before.value("tidings_broker_ready")], [1, 1]);
    assertEquals(before.value("tidings_group_lag", { group }), role === "publisher" ? undefined : 0);
    assertEquals(before.value("tidings_stream_size_bytes"), undefined);
    assertEquals(await server.cli("ACL", "SETUSER", role, ...rulesOf("measured")), "OK");
    const scrape = await metrics.scrape();
    assertEquals([scrape.value("tidings_stream_length"), scrape.value("tidings_group_lag", { group })], [3, 0]);
    assert(scrape.value("tidings_stream_size_bytes")! > 0);
  }
  const progress = async () => (await consumer.health()).subscriptions[0]!.types[0]!.group;
  await until(async () => typeof await progress() === "object", "health() shows the progress of the group");
  await assertForbidden(server, "publisher", ["XREADGROUP GROUP shop me STREAMS events:Sold >", "DEL events:Sold"]);
});

Deno.test("ACL rules in a cluster need the commands that docs/README_REDIS.md notes", async () => {
  await using cluster = await RedisCluster.start({ masters: 2 });
  const allow = async (role: RoleName, ...rules: readonly string[]) => {
    for (const node of cluster.masters) assertEquals(await node.cli("ACL", "SETUSER", role, ...rules), "OK");
  };
  const open = (role: RoleName) =>
    connect(cluster.url.replace("//", `//${role}:secret@`), { events, publishTimeout: 5_000 });
  for (const role of ["publisher", "consumer"] as const) await allow(role, ...rulesOf(role));
  const error = await within(assertRejects(() => open("publisher"), Error), "the refusal", 2_000);
  assertStringIncludes(error.message, "its user lacks a permission");
  assertStringIncludes(error.message, "cluster|slots");

  for (const role of ["publisher", "consumer"] as const) await allow(role, "+cluster|slots", "+asking");
  await using publisher = await open("publisher");
  await using consumer = await open("consumer");
  const handled: number[] = [];
  await consumer.subscribe(Sold, ({ detail }) => void handled.push(detail.n), { group });
  await publisher.publish(sold(3));
  await until(() => handled.length === 3, "all events are handled");
  assertEquals(handled, [0, 1, 2]);
});
