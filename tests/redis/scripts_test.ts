// Each script by itself against a server: what it replies, what it leaves, and what it refuses.
import { assertEquals, assertMatch, assertRejects } from "@std/assert";
import type { TimedConnection } from "../../src/redis/_connection.ts";
import { ReplyError } from "../../src/redis/_errors.ts";
import { groupKeys, keyList, producerKey } from "../../src/redis/_keys.ts";
import type { Script } from "../../src/redis/_script.ts";
import type { Reply } from "../../src/redis/client.ts";
import { ANNOUNCE } from "../../src/redis/scripts/announce.ts";
import { APPEND } from "../../src/redis/scripts/append.ts";
import { CLAIM } from "../../src/redis/scripts/claim.ts";
import { HEAL } from "../../src/redis/scripts/heal.ts";
import { GROUP_INFO } from "../../src/redis/scripts/info.ts";
import { JOIN } from "../../src/redis/scripts/join.ts";
import { LEAVE } from "../../src/redis/scripts/leave.ts";
import { REDRIVE } from "../../src/redis/scripts/redrive.ts";
import { REMOVE_GROUP } from "../../src/redis/scripts/remove_group.ts";
import { RENEW } from "../../src/redis/scripts/renew.ts";
import { REWIND } from "../../src/redis/scripts/rewind.ts";
import { SETTLE } from "../../src/redis/scripts/settle.ts";
import { TRIM } from "../../src/redis/scripts/trim.ts";
import { openConnection } from "./_bench.ts";
import { RedisServer } from "./_server.ts";

const STREAM = "events:Counted";
const KEYS = groupKeys(STREAM, "group");
const ME = "me.1";
const LEASE = "30000";

/** One consumer of a group over three entries, and the scripts as it would run them. */
class Bench implements AsyncDisposable {
  readonly server: RedisServer;
  readonly connection: TimedConnection;
  #life = "";

  constructor(server: RedisServer, connection: TimedConnection) {
    this.server = server;
    this.connection = connection;
  }

  static async open(): Promise<Bench> {
    const server = await RedisServer.start();
    const bench = new Bench(server, await openConnection(server.url));
    for (const n of [1, 2, 3]) await bench.send("XADD", STREAM, `${n}-0`, "id", `${n}`, "payload", "{}");
    return bench;
  }

  send(...command: string[]): Promise<Reply> {
    return this.connection.send(command);
  }

  group(script: Script, ...args: string[]): Promise<Reply> {
    return script.run(this.connection, keyList(KEYS), ["group", ME, this.#life, ...args]);
  }

  async join(): Promise<void> {
    const [, , life] = await this.group(JOIN, LEASE, "0-0", "life") as readonly [number, number, string];
    this.#life = life;
  }

  read(count: number): Promise<Reply> {
    return this.send("XREADGROUP", "GROUP", "group", ME, "COUNT", `${count}`, "STREAMS", STREAM, ">");
  }

  /** An outcome that is not a plain ack. */
  settle(kind: string, id: string, count = 1, ...rest: string[]): Promise<Reply> {
    const [delay = "0", reason = "", attempts = "", error = ""] = rest;
    return this.group(SETTLE, "0", "0", kind, id, "0", `${count}`, delay, reason, attempts, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.connection.close();
    await this.server[Symbol.asyncDispose]();
  }
}

function test(name: string, body: (bench: Bench) => Promise<void>): void {
  Deno.test(name, async () => {
    await using bench = await Bench.open();
    await body(bench);
  });
}

const CLAIM_ALL = [LEASE, "10", "30000"];

test("a script is known by its digest, and sent whole when the server has forgotten it", async (bench) => {
  await bench.join();
  await bench.send("SCRIPT", "FLUSH");
  const [, , lost] = await bench.group(RENEW, LEASE, "", "0") as readonly Reply[];
  assertEquals(lost, []);
  const stats = String(await bench.send("INFO", "commandstats"));
  assertMatch(stats, /cmdstat_eval:calls=2/);
});

test("every key of a group lies in the slot of its stream, and none begins as a stream does", () => {
  const [stream, ...helpers] = keyList(KEYS);
  for (const key of [...helpers, producerKey(STREAM, "p")]) {
    assertEquals(/^\{([^}]+)\}:/.exec(key)?.[1], stream);
  }
  return Promise.resolve();
});

test("APPEND takes a batch once, refuses gaps and what was given up, and tells when it has forgotten", async (bench) => {
  const append = (sequence: number, decided: number, known: number, ...records: string[]) =>
    APPEND.run(
      bench.connection,
      [STREAM, producerKey(STREAM, "p")],
      [sequence, decided, known, 60_000, 64].map(String).concat(records),
    );
  const record = ["2", "payload", "{}"];
  const [first, count] = await append(1, 0, 0, ...record, ...record) as readonly [string, number];
  assertEquals(count, 2);
  assertEquals(await append(1, 0, 0, ...record, ...record), [first, 2]);
  assertEquals(await bench.send("XLEN", STREAM), 5);
  await assertRejects(() => append(3, 1, 0, ...record), ReplyError, "OUTOFSEQUENCE");
  assertEquals(await append(2, 2, 1), []);
  await assertRejects(() => append(2, 1, 1, ...record), ReplyError, "OUTOFSEQUENCE");
  await bench.send("DEL", producerKey(STREAM, "p"));
  await assertRejects(() => append(3, 2, 1, ...record), ReplyError, "FORGOTTEN");
  assertEquals(await bench.send("XLEN", STREAM), 5);
});

test("APPEND writes nothing to a key of another type", async (bench) => {
  await bench.send("SET", "events:Other", "x");
  const keys = ["events:Other", producerKey("events:Other", "p")];
  const args = ["1", "0", "0", "60000", "64", "2", "payload", "{}"];
  await assertRejects(() => APPEND.run(bench.connection, keys, args), ReplyError, "WRONGTYPE");
  assertEquals(await bench.send("EXISTS", keys[1]!), 0);
});

test("JOIN makes the group, and refuses the name of a live consumer", async (bench) => {
  await bench.join();
  await bench.join();
  const other = JOIN.run(bench.connection, keyList(KEYS), ["group", "me.2", "", LEASE, "0-0", "life"]);
  await assertRejects(() => other, ReplyError, "NAMETAKEN me.1");
});

test("ANNOUNCE notes by which connection a consumer waits", async (bench) => {
  await bench.join();
  await bench.group(ANNOUNCE, "42");
  assertEquals(await bench.send("HGET", KEYS.meta, `conn:${ME}`), "42");
});

test("SETTLE acknowledges, parks, and refuses what is not held", async (bench) => {
  await bench.join();
  await bench.read(3);
  const takings = String(await bench.send("HGET", KEYS.meta, `gen:${ME}`));
  assertEquals(await bench.group(SETTLE, takings, "1", "1-0"), [1, [], []]);
  assertEquals(await bench.group(SETTLE, "-7", "1", "2-0"), [0]);
  assertEquals(await bench.settle("ack", "1-0"), [1, ["1-0"], []]);
  assertEquals(await bench.settle("retry", "2-0", 1, "50000"), [1, [], []]);
  assertEquals(await bench.settle("retry", "2-0", 1, "50000"), [1, ["2-0"], []]);
  assertEquals(await bench.send("ZCARD", KEYS.due), 1);
  assertEquals(await bench.settle("dead", "3-0", 2), [1, ["3-0"], []]);
  const error = JSON.stringify({ name: "Error", message: "no" });
  assertEquals(await bench.settle("dead", "3-0", 1, "0", "attempts", "3", error), [1, [], []]);
  const [[, fields]] = await bench.send("XRANGE", KEYS.dead, "-", "+") as readonly [readonly [string, string[]]];
  assertEquals(fields.slice(0, 6), ["position", "3-0", "reason", "attempts", "attempts", "3"]);
  assertEquals(fields.slice(-4), ["id", "3", "payload", "{}"]);
});

test("CLAIM takes what is due and what the dead held, in one step, and never what is not due", async (bench) => {
  await bench.join();
  await bench.read(3);
  await bench.settle("release", "1-0");
  await bench.settle("retry", "2-0", 1, "50000");
  const [, , due, , missing, taken] = await bench.group(CLAIM, ...CLAIM_ALL) as readonly Reply[];
  assertEquals(missing, []);
  assertEquals((taken as Reply[][]).map(([id, count]) => [id, count]), [["1-0", 2]]);
  assertEquals(Number(due) > 40_000, true);
  // Its lease is over: another takes what it held, but for the retry that is still to come.
  await bench.send("ZADD", KEYS.consumers, "1", ME);
  const args = ["group", "heir.1", "life", ...CLAIM_ALL];
  const [, , , , , inherited] = await CLAIM.run(bench.connection, keyList(KEYS), args) as readonly Reply[];
  assertEquals((inherited as Reply[][]).map(([id, , , recovered]) => [id, recovered]), [["1-0", 1], ["3-0", 1]]);
});

test("RENEW tells what was taken, and LEAVE hands back the rest", async (bench) => {
  await bench.join();
  await bench.read(2);
  await bench.send("XCLAIM", STREAM, "group", "thief", "0", "1-0");
  const held = ["1-0", "0", "1", "2-0", "0", "1"];
  const [, , lost] = await bench.group(RENEW, LEASE, "1", "-7", ...held) as readonly Reply[];
  assertEquals(lost, ["1-0"]);
  assertEquals(await bench.send("HGET", KEYS.meta, `stalled:${ME}`), "1");
  assertEquals(await bench.group(LEAVE, "1000"), [1, []]);
  assertEquals(await bench.send("ZSCORE", KEYS.consumers, ME), null);
  assertEquals(await bench.send("ZRANGE", KEYS.due, "0", "-1"), ["2-0"]);
});

test("REWIND drops what is under way from there on, and late settles are refused", async (bench) => {
  await bench.join();
  await bench.read(3);
  assertEquals(await bench.group(REWIND, "1-18446744073709551615", "2-0"), [2, "2-0", []]);
  await bench.read(3);
  assertEquals(await bench.settle("ack", "2-0"), [1, ["2-0"], []]);
  assertEquals(await bench.settle("ack", "1-0"), [1, [], []]);
});

test("REDRIVE hands a letter back to its group, also when its entry is gone", async (bench) => {
  await bench.join();
  await bench.read(2);
  const error = JSON.stringify({ name: "Error", message: "no" });
  for (const id of ["1-0", "2-0"]) await bench.settle("dead", id, 1, "0", "attempts", "1", error);
  await bench.send("XDEL", STREAM, "2-0");
  const letters = await bench.send("XRANGE", KEYS.dead, "-", "+") as readonly [string, string[]][];
  assertEquals(await bench.group(REDRIVE, "16", ...letters.map(([id]) => id)), [2, []]);
  const [, , , , , taken] = await bench.group(CLAIM, ...CLAIM_ALL) as readonly Reply[];
  assertEquals((taken as Reply[][]).map(([id]) => id).sort(), ["1-0", "2-0"]);
  assertEquals(await bench.send("XLEN", STREAM), 2);
});

test("TRIM removes nothing that a group has not settled, unless it is forced", async (bench) => {
  await bench.join();
  await bench.read(2);
  await bench.settle("ack", "1-0");
  const trim = (force: string) => TRIM.run(bench.connection, [STREAM], ["", "0", force, "1000"]);
  assertEquals(await trim("0"), [1, "group", 0]);
  assertEquals((await trim("1") as Reply[])[0], 2);
});

test("HEAL makes a lost group again where it was, and only once", async (bench) => {
  await bench.join();
  await bench.read(2);
  await bench.settle("ack", "1-0");
  await bench.settle("ack", "2-0");
  await bench.send("XGROUP", "DESTROY", STREAM, "group");
  assertEquals(await bench.group(HEAL, "", "0"), ["2-0", 0]);
  assertEquals(await bench.group(HEAL, "", "0"), []);
});

test("GROUP_INFO counts, and REMOVE_GROUP leaves a mark that former members meet", async (bench) => {
  await bench.join();
  await bench.read(1);
  const [pending, retrying, letters, lag, exact, floor] = await bench.group(GROUP_INFO, "1000") as readonly Reply[];
  assertEquals([pending, retrying, letters, lag, exact, floor], [1, 0, 0, 2, 1, "1-0"]);
  assertEquals(await bench.group(REMOVE_GROUP, "60000"), [1, []]);
  await assertRejects(() => bench.group(RENEW, LEASE, "", "0"), ReplyError, "GROUPDELETED");
});
