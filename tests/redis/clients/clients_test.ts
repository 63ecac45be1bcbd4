import { assert, assertEquals, assertInstanceOf, assertLess, assertMatch } from "@std/assert";
import { classify, connectError } from "../../../src/redis/connection/_errors.ts";
import { isNoGroup, isNoScript, isServerReply } from "../../../src/redis/connection/_reply_error.ts";
import { withDeadline } from "../../../src/redis/connection/_connection.ts";
import type { RedisConnection, Reply } from "../../../src/redis/connection/client.ts";
import { loadAdapter } from "../../../src/redis/clients/detect.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { assertUncertain, failure, open, pause, testClients } from "../_clients.ts";
import { addressOf } from "../_bench.ts";
import { Proxy } from "../_proxy.ts";
import { RedisServer } from "../_server.ts";

/** Whether a client of the server is blocked. */
async function blocks(server: RedisServer): Promise<boolean> {
  return await server.blockedClients() === 1;
}

testClients("a connection", {
  "send() returns replies in the shapes of RESP 2": async (kind, { url }) => {
    const connection = await open(kind, url);
    const cases: [string[], Reply][] = [
      [["SET", "text", "grün € 😀 \r\n\0"], "OK"],
      [["GET", "text"], "grün € 😀 \r\n\0"],
      [["GET", "nothing"], null],
      [["INCR", "number"], 1],
      [["XADD", "stream", "1-1", "id", "a", "payload", "{}"], "1-1"],
      [["XADD", "stream", "1-2", "id", "b", "payload", ""], "1-2"],
      [["XRANGE", "stream", "-", "+"], [["1-1", ["id", "a", "payload", "{}"]], ["1-2", ["id", "b", "payload", ""]]]],
      [["XGROUP", "CREATE", "stream", "group", "0"], "OK"],
      [["XREADGROUP", "GROUP", "group", "me", "COUNT", "1", "STREAMS", "stream", ">"], [[
        "stream",
        [["1-1", ["id", "a", "payload", "{}"]]],
      ]]],
      [["xreadgroup", "GROUP", "group", "me", "COUNT", "1", "STREAMS", "stream", ">"], [[
        "stream",
        [["1-2", ["id", "b", "payload", ""]]],
      ]]],
      [["XREADGROUP", "GROUP", "group", "me", "STREAMS", "stream", ">"], null],
      [["XPENDING", "stream", "group"], [2, "1-1", "1-2", [["me", "2"]]]],
      [["HSET", "hash", "a", "1", "b", "2"], 2],
      [["HGETALL", "hash"], ["a", "1", "b", "2"]],
      [["hgetall", "hash"], ["a", "1", "b", "2"]],
      [["HMGET", "hash", "a", "c"], ["1", null]],
      [["ZADD", "sorted", "1.5", "a", "1700000000000", "b"], 2],
      [["ZRANGE", "sorted", "0", "-1", "WITHSCORES"], ["a", "1.5", "b", "1700000000000"]],
      [["ZSCORE", "sorted", "b"], "1700000000000"],
      [["EVAL", "return {1, 'two', {3, false, {}, {'four', {5}}}, redis.status_reply('SIX'), ARGV[1]}", "0", "€"], [
        1,
        "two",
        [3, null, [], ["four", [5]]],
        "SIX",
        "€",
      ]],
      [["EVAL", "return 1700000000000123", "0"], 1700000000000123],
      [["EVAL", "return redis.call('HGETALL', KEYS[1])", "1", "hash"], ["a", "1", "b", "2"]],
    ];
    try {
      for (const [command, reply] of cases) assertEquals(await connection.send(command), reply, command.join(" "));
      const info = await connection.send(["XINFO", "STREAM", "stream"]);
      assertEquals((info as Reply[]).slice(0, 2), ["length", 2]);
      assertMatch(String(await connection.send(["INFO", "server"])), /redis_version/);
    } finally {
      connection.close();
    }
  },

  "send() takes and returns megabytes, and thousands of arguments": async (kind, { url }) => {
    const connection = await open(kind, url);
    try {
      const big = "€".repeat(1_000_000);
      await connection.send(["SET", "big", big]);
      assertEquals(await connection.send(["GET", "big"]), big);
      const values = Array.from({ length: 150_000 }, (_, index) => String(index));
      assertEquals(await connection.send(["RPUSH", "list", ...values]), values.length);
      assertEquals(await connection.send(["LRANGE", "list", "0", "-1"]), values);
    } finally {
      connection.close();
    }
  },

  "send() runs concurrent commands in the order of the calls": async (kind, { url }) => {
    const connection = await open(kind, url);
    try {
      const replies = Array.from(
        { length: 5_000 },
        (_, index) =>
          connection.send(index % 100 === 99 ? ["INCR", "text-key", "wrong"] : ["INCR", "counter"]).catch((error) =>
            error
          ),
      );
      let expected = 0;
      for (const [index, reply] of (await Promise.all(replies)).entries()) {
        if (index % 100 === 99) assertInstanceOf(reply, Error);
        else assertEquals(reply, ++expected);
      }
    } finally {
      connection.close();
    }
  },

  "send() rejects with the error reply of the server, and goes on": async (kind, { url }) => {
    const connection = await open(kind, url);
    try {
      await connection.send(["SET", "key", "text"]);
      const wrong = (await failure(connection.send(["XLEN", "key"]))).error;
      assertEquals(wrong.message, "WRONGTYPE Operation against a key holding the wrong kind of value");
      assert(isServerReply(wrong));
      assertEquals(classify(wrong) instanceof StoreError, false);
      assertMatch(classify(wrong).message, /^Cannot use Redis: a key has another type/);
      const script = (await failure(connection.send(["EVALSHA", "0".repeat(40), "0"]))).error;
      assert(isNoScript(script));
      const own =
        (await failure(connection.send(["EVAL", "return redis.error_reply('FORGOTTEN batch 3')", "0"]))).error;
      assertEquals(own.message.replace(/ script: .*/, ""), "FORGOTTEN batch 3");
      const group = (await failure(connection.send(["XREADGROUP", "GROUP", "g", "c", "STREAMS", "none", ">"]))).error;
      assert(isNoGroup(group) && isNoGroup(classify(group)));
      assertEquals(await connection.send(["PING"]), "PONG");
    } finally {
      connection.close();
    }
  },

  "send() never sends a command again when the reply was lost": async (kind, { port, url }) => {
    await using proxy = new Proxy(port);
    const connection = await open(kind, proxy.url);
    const check = await open(kind, url);
    try {
      proxy.inject({ fault: "reply", request: /INCR/ });
      const several = Array.from({ length: 3 }, () => failure(connection.send(["INCR", "once"])));
      for (const { error, after } of await Promise.all(several)) {
        assertUncertain(error);
        assertLess(after, 1_000);
      }
      // A client that sends commands again does so as soon as it has reconnected, within 300 ms.
      await pause(300);
      // @db/redis has one command in flight at a time: the others were never sent.
      assertEquals(await check.send(["GET", "once"]), kind === "@db/redis" ? "1" : "3");
      assertEquals([proxy.connections, proxy.faults, proxy.open], [1, 1, 0]);
      const { error, after } = await failure(connection.send(["INCR", "once"]));
      assertInstanceOf(error, StoreError);
      assertEquals(error.kind, "transient");
      assertLess(after, 1_000);
    } finally {
      connection.close();
      check.close();
    }
  },

  "send() rejects when half a command was sent": async (kind, { port, url }) => {
    await using proxy = new Proxy(port);
    const connection = await open(kind, proxy.url);
    const check = await open(kind, url);
    try {
      proxy.inject({ fault: "half", request: /INCR/ });
      assertUncertain((await failure(connection.send(["INCR", "half"]))).error);
      assertEquals(await check.send(["GET", "half"]), null);
    } finally {
      connection.close();
      check.close();
    }
  },

  "send() rejects when the server closes only its direction": async (kind, { port }) => {
    await using proxy = new Proxy(port);
    const connection = await open(kind, proxy.url);
    try {
      proxy.inject({ fault: "half-close", request: /BLPOP/ });
      const blocked = failure(connection.send(["BLPOP", "nothing", "3"]));
      assertUncertain((await blocked).error);
    } finally {
      connection.close();
    }
  },

  "send() rejects at once when the server is killed, and open() works when it is back": async (kind) => {
    await using server = await RedisServer.start();
    const connection = await open(kind, server.url);
    const blocked = failure(connection.send(["BLPOP", "nothing", "0"], 60_000));
    await until(() => blocks(server), "the command blocks");
    await server.kill();
    const { error, after } = await blocked;
    assertUncertain(error);
    assertLess(after, 1_000);
    const refused = await failure(connection.open());
    assertLess(refused.after, 1_000);
    assertMatch(connectError(server.url, refused.error).message, /nothing listens there/);
    await server.restart();
    const again = await connection.open();
    assertEquals(await again.send(["PING"]), "PONG");
    again.close();
  },

  "send() rejects when the server was killed while the connection was idle": async (kind) => {
    await using server = await RedisServer.start();
    const connection = await open(kind, server.url);
    await server.kill();
    // Mostly the client has noticed by now. If not, the command fails as well.
    await pause(50);
    const { error, after } = await failure(connection.send(["PING"]));
    assertInstanceOf(classify(error), StoreError);
    assertLess(after, 500);
    connection.close();
  },

  "send() rejects at its deadline when the link swallows everything": async (kind, { port }) => {
    await using proxy = new Proxy(port);
    const connection = await open(kind, proxy.url, 150);
    proxy.inject({ fault: "swallow" });
    const first = failure(connection.send(["PING"]));
    // Its deadline is later than that of the first one, and it ends with it all the same.
    await pause(100);
    const second = failure(connection.send(["PING"]));
    for (const { error, after } of await Promise.all([first, second])) {
      assertUncertain(error);
      assertLess(after, 2_000);
    }
    assertLess(145, (await first).after);
    assertLess((await failure(connection.send(["PING"]))).after, 145);
  },

  "send() waits for a blocking command as long as its own timeout says": async (kind, { url }) => {
    const connection = await open(kind, url, 200);
    assertEquals(await connection.send(["BLPOP", "nothing", "0.5"], 700), null);
    assertEquals(await connection.send(["PING"]), "PONG");
    connection.close();
  },

  "send() returns a reply that arrived while its process was stalled beyond the deadline": async (kind, { url }) => {
    const connection = await open(kind, url, 200);
    const reply = connection.send(["PING"]);
    for (const end = performance.now() + 500; performance.now() < end;);
    assertEquals(await reply, "PONG");
    connection.close();
  },

  "close() ends a blocking read at once": async (kind, server) => {
    const connection = await open(kind, server.url);
    await connection.send(["XGROUP", "CREATE", "blocked", "group", "0", "MKSTREAM"]);
    const read = ["XREADGROUP", "GROUP", "group", "me", "BLOCK", "30000", "STREAMS", "blocked", ">"];
    const blocked = failure(connection.send(read, 40_000));
    await until(() => blocks(server), "the read blocks");
    const began = performance.now();
    connection.close();
    connection.close();
    assertUncertain((await blocked).error);
    assertLess(performance.now() - began, 2_000);
  },

  "withDeadline() ends a connection of any client at the deadline": async (kind, { url }) => {
    const adapter = await loadAdapter(kind);
    let raw: RedisConnection | undefined;
    const connection = withDeadline(raw = await adapter.open(addressOf(url)), { timeout: 100 });
    assertUncertain((await failure(connection.send(["BLPOP", "nothing", "0"]))).error);
    const after = await failure(raw.send(["PING"]));
    // Less than another deadline and its extra time.
    assertLess(after.after, 300);
  },
});
