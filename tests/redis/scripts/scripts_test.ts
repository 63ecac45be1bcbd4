import { assert, assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { TimedConnection } from "../../../src/redis/connection/_connection.ts";
import type { Reply } from "../../../src/redis/connection/client.ts";
import { groupKeys, holdingKeyList, marksKey, producerKey } from "../../../src/redis/_keys.ts";
import { POSITIONS } from "../../../src/redis/scripts/parts/_positions.ts";
import type { Script } from "../../../src/redis/connection/_script.ts";
import { ADOPT } from "../../../src/redis/scripts/consuming/adopt.ts";
import { ALTER_GROUP } from "../../../src/redis/scripts/operating/alter_group.ts";
import { ANNOUNCE } from "../../../src/redis/scripts/consuming/announce.ts";
import { APPEND } from "../../../src/redis/scripts/entries/append.ts";
import { CLAIM } from "../../../src/redis/scripts/consuming/claim.ts";
import { HEAL } from "../../../src/redis/scripts/consuming/heal.ts";
import { FORCE_TRIM } from "../../../src/redis/scripts/operating/force_trim.ts";
import { GROUP_INFO } from "../../../src/redis/scripts/operating/info.ts";
import { JOIN } from "../../../src/redis/scripts/consuming/join.ts";
import { LEAVE } from "../../../src/redis/scripts/consuming/leave.ts";
import { REDRIVE } from "../../../src/redis/scripts/operating/redrive.ts";
import { REMOVE_GROUP } from "../../../src/redis/scripts/operating/remove_group.ts";
import { RENEW } from "../../../src/redis/scripts/consuming/renew.ts";
import { REWIND } from "../../../src/redis/scripts/operating/rewind.ts";
import { SETTLE } from "../../../src/redis/scripts/consuming/settle.ts";
import { TRIM } from "../../../src/redis/scripts/operating/trim.ts";
import { openConnection } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

const STREAM = "events:Scripted";
const MARKS = marksKey(STREAM);
const KEYS = groupKeys(STREAM, "group");
const LEASE = "60000";
// Of the arguments for a letter, a retry only uses the failed attempt.
const FAILED = ["", "1", ""];

let server: RedisServer;
Deno.test.beforeAll(async () => void (server = await RedisServer.start(["--enable-debug-command", "yes"])));
Deno.test.afterAll(() => server[Symbol.asyncDispose]());

/** An empty server, and shorthands for its commands and scripts. */
class Bench {
  readonly connection: TimedConnection;

  constructor(connection: TimedConnection) {
    this.connection = connection;
  }

  send(...command: string[]): Promise<Reply> {
    return this.connection.send(command);
  }

  group(script: Script, consumer: string, life: string, ...args: string[]): Promise<Reply> {
    return script.run(this.connection, holdingKeyList(KEYS), ["group", consumer, life, ...args]);
  }

  append(sequence: number, decided: number, known: number, ...payloads: string[]): Promise<Reply> {
    const run = [String(payloads.length), "2", "id", "payload", ...payloads.flatMap((payload) => [payload, "{}"])];
    const records = payloads.length === 0 ? [] : run;
    const args = [sequence, decided, known, 60_000, 4].map(String);
    return APPEND.run(this.connection, [STREAM, producerKey(STREAM, "producer")], [...args, ...records]);
  }

  /** Appends three entries, and has a consumer join and read them; returns their positions. */
  async read(consumer = "me.1"): Promise<string[]> {
    await this.append(1, 0, 0, "a", "b", "c");
    await this.group(JOIN, consumer, "", LEASE, "0-0", "life", "");
    const reply = await this.send("XREADGROUP", "GROUP", "group", consumer, "STREAMS", STREAM, ">");
    return (reply as [[string, [string, string[]][]]])[0][1].map(([position]) => position);
  }

  /** Settles outcomes with their fences. */
  settle(consumer: string, ...outcomes: string[]): Promise<Reply> {
    return this.group(SETTLE, consumer, "life", "0", "0", "0", ...outcomes);
  }

  /** The arguments of SETTLE for one outcome. */
  outcome(kind: string, position: string, { count = 1, delay = 0, letter = ["", "", ""] } = {}): string[] {
    return [kind, position, "0", String(count), String(delay), ...letter];
  }

  digest(): Promise<Reply> {
    return this.send("DEBUG", "DIGEST");
  }
}

function test(name: string, run: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    const connection = await openConnection(server.url);
    try {
      await connection.send(["FLUSHALL"]);
      await connection.send(["SCRIPT", "FLUSH"]);
      await run(new Bench(connection));
    } finally {
      connection.close();
    }
  });
}

test("a script is sent once as source when the server has forgotten it, and then by its digest", async (bench) => {
  assertMatch(String((await bench.append(1, 0, 0, "a") as Reply[])[0]), /^\d+-0$/);
  await bench.send("SCRIPT", "FLUSH");
  await bench.append(2, 1, 1, "b");
  await bench.append(3, 2, 1, "c");
  assertEquals(await bench.send("XLEN", STREAM), 3);
  const stats = String(await bench.send("INFO", "commandstats"));
  assertEquals([/cmdstat_eval:calls=(\d+)/.exec(stats)?.[1], /cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1]], [
    "2",
    "3",
  ]);
});

test("less(), after() and before() in scripts are exact when positions exceed the range of numbers", async (bench) => {
  const evaluate = (body: string, ...args: string[]) => bench.send("EVAL", `${POSITIONS}return ${body}`, "0", ...args);
  const pairs = [
    ["0-0", "0-1"],
    ["4-18446744073709551615", "5-0"],
    ["5-9", "5-10"],
    ["5-999", "5-1000"],
    ["5-9007199254740992", "5-9007199254740993"],
    ["5-18446744073709551614", "5-18446744073709551615"],
  ] as const;
  for (const [low, high] of pairs) {
    assertEquals(await evaluate("{after(ARGV[1]), before(ARGV[2])}", low, high), [high, low]);
    assertEquals(await evaluate("{less(ARGV[1], ARGV[2]) and 1 or 0, less(ARGV[2], ARGV[1]) and 1 or 0}", low, high), [
      1,
      0,
    ]);
    assertEquals(await evaluate("less(ARGV[1], ARGV[1]) and 1 or 0", low), 0);
  }
  assertEquals(await evaluate("before(ARGV[1])", "0-0"), "0-0");
});

test("APPEND returns the first position and the count, and the same when a batch comes again", async (bench) => {
  const [first, count] = await bench.append(1, 0, 0, "a", "b") as [string, number];
  assertEquals(count, 2);
  assertEquals(await bench.append(1, 0, 1, "a", "b"), [first, 2]);
  const entries = await bench.send("XRANGE", STREAM, "-", "+") as [string, string[]][];
  const [ms, sequence] = first.split("-");
  assertEquals(entries, [
    [first, ["id", "a", "payload", "{}"]],
    [`${ms}-${Number(sequence) + 1}`, ["id", "b", "payload", "{}"]],
  ]);
  const left = Number(await bench.send("PTTL", producerKey(STREAM, "producer")));
  assert(left > 50_000 && left <= 60_000, `${left}`);
});

test("APPEND keeps the order when records have different fields", async (bench) => {
  const runs = [
    "1",
    "2",
    "id",
    "payload",
    "a",
    "{}",
    "2",
    "3",
    "id",
    "payload",
    "source",
    "b",
    "{}",
    "/x",
    "c",
    "{}",
    "/y",
  ];
  const args = [1, 0, 0, 60_000, 4].map(String);
  const keys = [STREAM, producerKey(STREAM, "producer")];
  const [first, count] = await APPEND.run(bench.connection, keys, [...args, ...runs, "1", "1", "id", "d"]) as [
    string,
    number,
  ];
  const entries = await bench.send("XRANGE", STREAM, "-", "+") as [string, string[]][];
  assertEquals(entries.map(([, fields]) => fields), [
    ["id", "a", "payload", "{}"],
    ["id", "b", "payload", "{}", "source", "/x"],
    ["id", "c", "payload", "{}", "source", "/y"],
    ["id", "d"],
  ]);
  assertEquals([first, count], [entries[0]![0], 4]);
  const [ms] = first.split("-");
  assertEquals(entries.map(([position]) => position), [0, 1, 2, 3].map((n) => `${ms}-${n}`));
});

test("APPEND writes nothing when a batch is missing, was given up, or its producer is forgotten", async (bench) => {
  await bench.append(1, 0, 0, "a");
  const before = await bench.digest();
  await assertRejects(() => bench.append(3, 1, 1, "c"), Error, "OUTOFSEQUENCE batch 3, the next one is 2");
  assertEquals(await bench.digest(), before);
  assertEquals(await bench.append(2, 2, 1), []);
  const later = await bench.digest();
  await assertRejects(() => bench.append(2, 1, 1, "b"), Error, "OUTOFSEQUENCE batch 2, the next one is 3");
  assertEquals(await bench.digest(), later);
  assertEquals((await bench.append(3, 2, 1, "c") as Reply[])[1], 1);
  await bench.send("DEL", producerKey(STREAM, "producer"));
  await assertRejects(() => bench.append(4, 3, 1, "d"), Error, "FORGOTTEN batch 4");
  assertEquals(await bench.send("EXISTS", producerKey(STREAM, "producer")), 0);
  assertEquals((await bench.append(4, 3, 0, "d") as Reply[])[1], 1);
});

test("APPEND remembers the given number of replies, and returns consecutive positions ahead of the clock", async (bench) => {
  const far = "9999999999999-9007199254740992";
  await bench.send("XADD", STREAM, far, "id", "0");
  const replies: Reply[] = [];
  for (let n = 1; n <= 6; n++) replies.push(await bench.append(n, n - 1, 0, "a", "b", "c"));
  assertEquals(replies[0], ["9999999999999-9007199254740993", 3]);
  assertEquals(replies[1], ["9999999999999-9007199254740996", 3]);
  for (const n of [6, 5, 4, 3]) assertEquals(await bench.append(n, n - 1, 1, "a"), replies[n - 1]);
  await assertRejects(() => bench.append(2, 1, 1, "a"), Error, "OUTOFSEQUENCE");
  assertEquals(await bench.send("XLEN", STREAM), 19);
});

test("JOIN creates the group once, returns its numbers, and refuses a name when a live consumer has it", async (bench) => {
  assertEquals(await bench.group(JOIN, "me.1", "", LEASE, "0-0", "life", ""), [1_000_000, 0, "life", []]);
  assertEquals(await bench.group(JOIN, "you.1", "", LEASE, "$", "other", ""), [2_000_000, 0, "life", []]);
  const before = await bench.digest();
  const error = await assertRejects(() => bench.group(JOIN, "me.2", "", LEASE, "0-0", "life", ""), Error);
  assertMatch(error.message, /NAMETAKEN me\.1 (59|60)\d{3}/);
  assertEquals(await bench.digest(), before);
  assertEquals(await bench.send("HGET", KEYS.meta, "lease:me.1"), LEASE);
});

test("CLAIM returns due retries and deliveries of dead consumers, with their counts", async (bench) => {
  const [a, b, c] = await bench.read("dead.1") as [string, string, string];
  await bench.group(SETTLE, "dead.1", "life", "1000000", "0", "0", ...bench.outcome("retry", b, { letter: FAILED }));
  await bench.send("ZADD", KEYS.consumers, "1", "dead.1");
  await bench.group(JOIN, "me.1", "life", LEASE, "0-0", "life", "");
  const reply = await bench.group(CLAIM, "me.1", "life", LEASE, "2", "30000") as Reply[];
  // Due retries come before deliveries of dead consumers. The retry and the deliveries that are left each count as a wake-up.
  assertEquals(reply, [
    2_000_000,
    0,
    0,
    -1,
    [],
    [
      [b, 2, 1, 0, ["id", "b", "payload", "{}"], 1, 0, 0],
      [a, 2, 0, 1, ["id", "a", "payload", "{}"], 1, 0, 0],
    ],
    "2",
    "",
    0,
  ]);
  const more = await bench.group(CLAIM, "me.1", "life", LEASE, "2", "30000") as Reply[];
  assertEquals(more.slice(4), [[], [[c, 2, 0, 1, ["id", "c", "payload", "{}"], 1, 0, 0]], "2", "", 0]);
  const none = [2_000_000, 0, -1, -1, [], [], "2", "", 0];
  assertEquals(await bench.group(CLAIM, "me.1", "life", LEASE, "2", "30000"), none);
  assertEquals(await bench.send("ZSCORE", KEYS.consumers, "dead.1"), null);
});

test("CLAIM removes a consumer without a member once it is idle, and no consumer of another program", async (bench) => {
  await bench.group(JOIN, "me.0123456789", "", LEASE, "0-0", "life", "");
  for (const name of ["me.0123456789", "gone.abcdef012", "worker-1", "_retry"]) {
    await bench.send("XGROUP", "CREATECONSUMER", STREAM, "group", name);
  }
  const names = async () =>
    (await bench.send("XINFO", "CONSUMERS", STREAM, "group") as string[][]).map(([, name]) => name).sort();
  await bench.group(CLAIM, "me.0123456789", "life", LEASE, "1", "30000");
  assertEquals(await names(), ["_retry", "gone.abcdef012", "me.0123456789", "worker-1"]);
  await bench.group(CLAIM, "me.0123456789", "life", LEASE, "1", "0");
  assertEquals(await names(), ["_retry", "me.0123456789", "worker-1"]);
});

test("ADOPT returns the deliveries of a consumer with their counts, and none of other consumers", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  await bench.settle("me.1", ...bench.outcome("retry", a, { letter: FAILED }));
  const due = await bench.group(CLAIM, "me.1", "life", LEASE, "1", "30000") as Reply[];
  assertEquals((due[5] as Reply[]).length, 1);
  await bench.group(JOIN, "you.1", "", LEASE, "0-0", "life", "");
  await bench.send("XCLAIM", STREAM, "group", "you.1", "0", c);
  await bench.send("XDEL", STREAM, b);
  assertEquals(await bench.group(ADOPT, "me.1", "life", a, b, c, "1-1"), [
    [[a, 3, 1, 0, ["id", "a", "payload", "{}"], 1, 0, 0]],
    [b],
  ]);
});

test("the wake-up counter of a group changes when deliveries come back, and only then", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  const wakeUps = () => bench.send("HGET", KEYS.meta, "bell");
  const settle = (...outcome: string[]) => bench.settle("me.1", ...outcome);
  await bench.group(RENEW, "me.1", "life", LEASE, "", "1000000");
  await settle(...bench.outcome("hold", a, { delay: 1, letter: FAILED }));
  await settle(...bench.outcome("ack", a));
  assertEquals(await wakeUps(), null);
  assertEquals((await settle(...bench.outcome("retry", b, { delay: 9_000, letter: FAILED })) as Reply[]).slice(3), [
    "",
    "1",
  ]);
  // A retry that is due later than another one wakes no consumer.
  assertEquals((await settle(...bench.outcome("retry", c, { delay: 99_000, letter: FAILED })) as Reply[]).slice(3), [
    "1",
    "1",
  ]);
  await bench.append(2, 1, 1, "d", "e");
  await bench.send("XREADGROUP", "GROUP", "group", "me.1", "STREAMS", STREAM, ">");
  await bench.group(LEAVE, "me.1", "life", "1000");
  assertEquals(await wakeUps(), "2");
  await bench.group(REWIND, "", "", "0-0", a);
  assertEquals(await wakeUps(), "3");
  await bench.send("XADD", KEYS.dead, "1-1", "position", a);
  await bench.group(REDRIVE, "", "", "2", "1-1");
  assertEquals(await wakeUps(), "4");
});

test("CLAIM and RENEW distinguish a missing group from a deleted one, and change nothing", async (bench) => {
  await bench.send("XADD", STREAM, "1-1", "id", "a");
  for (
    const run of [
      () => bench.group(CLAIM, "me.1", "life", LEASE, "1", "30000"),
      () => bench.group(RENEW, "me.1", "life", LEASE, "", "0"),
    ]
  ) {
    await assertRejects(run, Error, "NOGROUP");
  }
  await bench.group(JOIN, "me.1", "", LEASE, "0-0", "life", "");
  assertEquals(await bench.group(REMOVE_GROUP, "", "", "60000"), [1, []]);
  const before = await bench.digest();
  for (
    const [script, ...args] of [[CLAIM, LEASE, "1", "30000"], [RENEW, LEASE, "", "0"], [SETTLE, "0", "0", "0"], [
      LEAVE,
      "10",
    ]]
  ) {
    await assertRejects(
      () => bench.group(script as Script, "me.1", "life", ...args as string[]),
      Error,
      "GROUPDELETED group",
    );
  }
  assertEquals(await bench.digest(), before);
});

test("SETTLE acknowledges without checks only when no delivery was taken from the consumer", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  const before = await bench.digest();
  assertEquals(await bench.group(SETTLE, "me.1", "life", "999", "2", "0", a, b), [0]);
  assertEquals(await bench.digest(), before);
  assertEquals(await bench.group(SETTLE, "me.1", "life", "1000000", "2", "1", a, b), [1, [], [], "", ""]);
  const late = [...bench.outcome("ack", a), ...bench.outcome("ack", c, { count: 2 }), ...bench.outcome("ack", "1-1")];
  assertEquals(await bench.settle("me.1", ...late), [1, [a, c, "1-1"], [], "", ""]);
  assertEquals(await bench.settle("you.1", ...bench.outcome("ack", c)), [
    1,
    [c],
    [],
    "",
    "",
  ]);
  assertEquals(await bench.settle("me.1", ...bench.outcome("ack", c)), [
    1,
    [],
    [],
    "",
    "",
  ]);
  assertEquals((await bench.send("XPENDING", STREAM, "group") as Reply[])[0], 0);
});

test("SETTLE parks deferred deliveries by version, and CLAIM takes them when a consumer knows the version", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  const defer = (...positions: string[]) =>
    bench.settle(
      "me.1",
      ...positions.flatMap((position) => bench.outcome("defer", position, { letter: ["", "2", ""] })),
    );
  const consumers = async () =>
    (await bench.send("XINFO", "CONSUMERS", STREAM, "group") as string[][]).map(([, name]) => name).sort();
  // No consumer knows the version: the wake-up counter does not change, so no consumer looks.
  assertEquals(await defer(a, b), [1, [], [], "", ""]);
  const rows = await bench.send("XPENDING", STREAM, "group", "-", "+", "9") as [string, string, number, number][];
  assertEquals(rows.map(([position, owner, , count]) => [position, owner, count]), [
    [a, "_held:2", 1],
    [b, "_held:2", 1],
    [c, "me.1", 1],
  ]);
  assertEquals(await bench.send("EXISTS", KEYS.work, KEYS.due, KEYS.redrive), 0);
  // It never counts as a dead consumer, however long it is idle.
  const nothing = await bench.group(CLAIM, "me.1", "life", LEASE, "9", "0", "1", "60000") as Reply[];
  assertEquals([nothing.slice(4), await consumers()], [[[], [], "", "", 0], ["_held:2", "me.1"]]);
  await bench.group(JOIN, "you.1", "", LEASE, "0-0", "life", "");
  const claim = () => bench.group(CLAIM, "you.1", "life", LEASE, "1", "30000", "3", "60000") as Promise<Reply[]>;
  // More is left than this claim takes, so other consumers are woken.
  assertEquals((await claim()).slice(4), [[], [[a, 2, 0, 0, ["id", "a", "payload", "{}"], 0, 0, 0]], "1", "", 0]);
  assertEquals((await claim()).slice(4), [[], [[b, 2, 0, 0, ["id", "b", "payload", "{}"], 0, 0, 0]], "1", "", 0]);
  assertEquals([(await claim()).slice(4), await consumers()], [[[], [], "1", "", 0], ["me.1", "you.1"]]);
  assertEquals(await defer(c, b), [1, [b], [], "1", "2"]);
  assertEquals((await bench.group(CLAIM, "me.1", "life", LEASE, "9", "30000", "1", "0") as Reply[])[5], [
    [c, 2, 0, 0, ["id", "c", "payload", "{}"], 0, 1, 0],
  ]);
});

test("SETTLE settles nothing when a dead letter cannot be written", async (bench) => {
  const [a, b] = await bench.read() as [string, string];
  await bench.send("SET", KEYS.dead, "text");
  const outcomes = bench.outcome("dead", a, { letter: ["permanent", "1", "{}"] });
  await assertRejects(() => bench.settle("me.1", ...outcomes), Error, "WRONGTYPE");
  assertEquals((await bench.send("XPENDING", STREAM, "group") as Reply[])[0], 3);
  await bench.send("DEL", KEYS.dead);
  assertEquals(await bench.settle("me.1", ...outcomes), [1, [], [], "", ""]);
  const [[, letter]] = await bench.send("XRANGE", KEYS.dead, "-", "+") as [[string, string[]]];
  assertEquals(letter.slice(0, 8), ["position", a, "reason", "permanent", "attempts", "1", "consumer", "me.1"]);
  assertEquals(letter.slice(12), ["deliveries", "1", "error", "{}", "id", "a", "payload", "{}"]);
  assertEquals(
    await bench.send("XPENDING", STREAM, "group", "-", "+", "10", "me.1").then((rows) => (rows as Reply[]).length),
    2,
  );
  assertEquals(await bench.send("EXISTS", KEYS.work), 0);
  await bench.settle("me.1", ...bench.outcome("retry", b, { delay: 5_000, letter: FAILED }));
  assertEquals(await bench.send("HKEYS", KEYS.work), [b]);
  assertEquals(await bench.send("ZCARD", KEYS.due), 1);
});

test("SETTLE takes thousands of outcomes in one call", async (bench) => {
  const count = 9_000;
  for (let n = 0; n < count; n += 1_000) {
    await bench.append(n / 1_000 + 1, n / 1_000, 0, ...Array.from({ length: 1_000 }, (_, i) => `${n + i}`));
  }
  await bench.group(JOIN, "me.1", "", LEASE, "0-0", "life", "");
  const read = await bench.send("XREADGROUP", "GROUP", "group", "me.1", "COUNT", "9000", "STREAMS", STREAM, ">");
  const positions = (read as [[string, [string, string[]][]]])[0][1].map(([position]) => position);
  assertEquals(await bench.group(SETTLE, "me.1", "life", "1000000", `${count}`, "0", ...positions), [
    1,
    [],
    [],
    "",
    "",
  ]);
  assertEquals((await bench.send("XPENDING", STREAM, "group") as Reply[])[0], 0);
});

test("ALTER_GROUP changes the types of a group, but not while a consumer is alive", async (bench) => {
  await bench.group(JOIN, "me.1", "", LEASE, "0-0", "life", "A B");
  await assertRejects(
    () => bench.group(JOIN, "you.1", "", LEASE, "0-0", "life", "A"),
    Error,
    "TERMSDIFFER continue A B",
  );
  assertEquals(await bench.group(ALTER_GROUP, "", "", "A"), ["me.1"]);
  const life = async () => await bench.send("HGET", KEYS.meta, "life") as string;
  const first = await life();
  await bench.group(LEAVE, "me.1", first, "10");
  assertEquals(await bench.group(ALTER_GROUP, "", "", "A"), []);
  for (const script of [RENEW, LEAVE]) {
    await assertRejects(() => bench.group(script, "me.1", first, LEASE, "", "0"), Error, "TERMSDIFFER continue A");
  }
  await assertRejects(() => bench.group(LEAVE, "me.1", "other", "10"), Error, "GROUPDELETED");
  await bench.group(JOIN, "you.1", "", LEASE, "0-0", "life", "A");
  await bench.group(LEAVE, "you.1", await life(), "10");
  assertEquals(await bench.group(ALTER_GROUP, "", "", ""), []);
  assertEquals([await bench.send("HEXISTS", KEYS.meta, "types"), await life()], [0, "life"]);
  assertEquals(await bench.group(ALTER_GROUP, "", "", "A B"), []);
  assertEquals(await life(), first);
});

test("RENEW returns the lost deliveries when a delivery was taken from the consumer", async (bench) => {
  const [a, b] = await bench.read() as [string, string];
  const held = [a, "0", "1", b, "0", "2"];
  assertEquals(await bench.group(RENEW, "me.1", "life", LEASE, "1", "1000000", "", ...held), [1_000_000, 0, []]);
  assertEquals(await bench.send("HGET", KEYS.meta, "stalled:me.1"), "1");
  assertEquals(await bench.group(RENEW, "me.1", "life", LEASE, "", "0", "", ...held), [1_000_000, 0, [b]]);
});

test("LEAVE releases a limited number at a time, and removes the consumer when it holds nothing", async (bench) => {
  await bench.read();
  await bench.group(JOIN, "you.1", "life", LEASE, "0-0", "life", "");
  assertEquals(await bench.group(ANNOUNCE, "you.1", "life", "77"), 1);
  assertEquals(await bench.group(ANNOUNCE, "gone.1", "life", "78"), 0);
  assertEquals(await bench.send("HEXISTS", KEYS.meta, "conn:gone.1"), 0);
  assertEquals(await bench.group(LEAVE, "me.1", "life", "2"), [0, []]);
  assertEquals(await bench.group(LEAVE, "me.1", "life", "2"), [1, ["77"]]);
  assertEquals(await bench.send("ZRANGE", KEYS.consumers, "0", "-1"), ["you.1"]);
  assertEquals((await bench.send("HKEYS", KEYS.meta) as string[]).filter((field) => field.endsWith("me.1")), []);
  const { length } = await bench.send("XPENDING", STREAM, "group", "-", "+", "10", "_released") as Reply[];
  assertEquals(length, 3);
});

test("REWIND drops deliveries from its position on, raises the epoch, and returns the next position", async (bench) => {
  const [a, b] = await bench.read() as [string, string, string];
  assertEquals(await bench.group(REWIND, "", "", a, b), [2, b, []]);
  assertEquals(await bench.send("HGET", KEYS.meta, "epoch"), "1");
  assertEquals(await bench.settle("me.1", ...bench.outcome("ack", b)), [
    1,
    [b],
    [],
    "1",
    "1",
  ]);
  assertEquals(await bench.settle("me.1", ...bench.outcome("ack", a)), [
    1,
    [],
    [],
    "1",
    "1",
  ]);
  assertEquals(await bench.group(REWIND, "", "", "$", ""), [0, "", []]);
});

test("GROUP_INFO returns the state of a group, and nothing when the group does not exist", async (bench) => {
  const [a, b] = await bench.read() as [string, string];
  await bench.group(
    SETTLE,
    "me.1",
    "life",
    "1000000",
    "1",
    "1",
    a,
    ...bench.outcome("retry", b, { delay: 60_000, letter: FAILED }),
  );
  await bench.append(2, 1, 1, "d");
  assertEquals(await bench.group(GROUP_INFO, "", "", "1000"), [
    2,
    1,
    0,
    1,
    1,
    b,
    [["me.1", 1, 1, 0]],
    [],
    "",
    "",
    1,
    "",
    0,
    0,
    "",
    0,
  ]);
  const other = groupKeys(STREAM, "other");
  assertEquals(await GROUP_INFO.run(bench.connection, holdingKeyList(other), ["other", "", "", "1000"]), []);
});

test("REDRIVE delivers letters again, from a copy when the entry is gone", async (bench) => {
  const [a, b] = await bench.read() as [string, string];
  const letter = ["permanent", "1", "{}"];
  const dead = [...bench.outcome("dead", a, { letter }), ...bench.outcome("dead", b, { letter })];
  await bench.settle("me.1", ...dead);
  await bench.send("XDEL", STREAM, a);
  const ids = (await bench.send("XRANGE", KEYS.dead, "-", "+") as [string][]).map(([id]) => id);
  assertEquals(await bench.group(REDRIVE, "", "", "16", ...ids, "1-1"), [2, []]);
  assertEquals(await bench.send("XLEN", KEYS.dead), 0);
  const [, , , , missing, taken] = await bench.group(CLAIM, "me.1", "life", LEASE, "9", "30000") as Reply[];
  assertEquals(missing, []);
  // The delivery count continues. A copy is never settled without checks.
  assertEquals((taken as Reply[][]).map(([id, count, failures, , fields]) => [id, count, failures, fields]), [
    [a, 2, 0, ["id", "a", "payload", "{}"]],
    [b, 2, 0, ["id", "b", "payload", "{}"]],
  ]);
  assertEquals(await bench.send("HKEYS", KEYS.redrive), [a]);
});

test("REMOVE_GROUP leaves only a mark, which expires", async (bench) => {
  await bench.read();
  assertEquals(await bench.group(REMOVE_GROUP, "", "", "60000"), [1, []]);
  assertEquals((await bench.send("KEYS", "*:group") as string[]).sort(), [KEYS.meta]);
  assert(Number(await bench.send("PTTL", KEYS.meta)) > 0);
  assertEquals(await bench.group(REMOVE_GROUP, "", "", "60000"), [0, []]);
});

test("HEAL creates a lost group again at its position, and only once", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  await bench.group(SETTLE, "me.1", "life", "1000000", "1", "0", a);
  await bench.send("XGROUP", "DESTROY", STREAM, "group");
  assertEquals(await bench.group(HEAL, "me.1", "life", c, "1"), [a, 1]);
  assertEquals(await bench.group(HEAL, "you.1", "life", c, "1"), []);
  const reply = await bench.send("XREADGROUP", "GROUP", "group", "me.1", "STREAMS", STREAM, ">");
  assertEquals((reply as [[string, [string][]]])[0][1].map(([position]) => position), [b, c]);
  await bench.send("DEL", STREAM);
  assertEquals(await bench.group(HEAL, "me.1", "life", c, "1"), ["", 0]);
});

test("JOIN goes on at the checkpoint of a lost group, and says so once", async (bench) => {
  const [a, b, c] = await bench.read() as [string, string, string];
  await bench.group(SETTLE, "me.1", "life", "1000000", "1", "0", a);
  await bench.group(LEAVE, "me.1", "life", "1000");
  await bench.send("XGROUP", "DESTROY", STREAM, "group");
  const joined = await bench.group(JOIN, "you.1", "", LEASE, "$", "other", "") as Reply[];
  assertEquals(joined.slice(2), ["life", [a, 1]]);
  assertEquals((await bench.group(JOIN, "they.1", "", LEASE, "$", "other", "") as Reply[])[3], []);
  const reply = await bench.send("XREADGROUP", "GROUP", "group", "you.1", "STREAMS", STREAM, ">");
  assertEquals((reply as [[string, [string][]]])[0][1].map(([position]) => position), [b, c]);
});

test("TRIM removes entries up to a time or number, except those that a group still needs", async (bench) => {
  const trim = (...args: string[]) => TRIM.run(bench.connection, [STREAM, MARKS], args);
  const force = (...args: string[]) => FORCE_TRIM.run(bench.connection, [STREAM, MARKS], args);
  assertEquals(await trim("", "1", "", "1000"), [0, "", 0]);
  const [a] = await bench.read() as [string];
  assertEquals(await trim("", "1", "", "1000"), [0, "group", 0]);
  await bench.group(SETTLE, "me.1", "life", "1000000", "1", "0", a);
  assertEquals(await trim("9999999999999", "", "", "1000"), [1, "group", 0]);
  assertEquals(await force("", "0", "", "1"), [1, "", 1]);
  assertEquals(await force("", "0", "", "1"), [1, "", 0]);
  assertEquals(await bench.send("XLEN", STREAM), 0);
  await bench.send("XADD", STREAM, "9999999999999-18446744073709551615", "id", "z");
  assertEquals(await force("", "0", "", "1000"), [1, "", 0]);
});

test("scripts write nothing when the stream is a key of another type", async (bench) => {
  await bench.send("SET", STREAM, "text");
  const before = await bench.digest();
  await assertRejects(() => bench.append(1, 0, 0, "a", "b"), Error, "WRONGTYPE");
  const scripts: [Script, ...string[]][] = [
    [JOIN, LEASE, "0-0", "life"],
    [REWIND, "0-0", "0-0"],
    [GROUP_INFO, "1000"],
    [REMOVE_GROUP, "1000"],
  ];
  for (const [script, ...args] of scripts) {
    await assertRejects(() => bench.group(script, "me.1", "", ...args), Error, "WRONGTYPE");
    assertEquals(await bench.digest(), before);
  }
  await assertRejects(() => TRIM.run(bench.connection, [STREAM, MARKS], ["", "1", "", "1000"]), Error, "WRONGTYPE");
  assertEquals(await bench.digest(), before);
});
