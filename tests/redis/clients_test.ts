import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { connect as dbRedis } from "@db/redis";
import { Redis as IoRedis } from "ioredis";
import { createClient } from "redis";
import { classify, connectError, isNoGroup, isNoScript, isServerReply } from "../../src/redis/_errors.ts";
import { COMMAND_TIMEOUT, openInTime, type TimedConnection, withDeadline } from "../../src/redis/_connection.ts";
import type { RedisConnection, Reply } from "../../src/redis/client.ts";
import { type ClientKind, detectClient, loadAdapter } from "../../src/redis/clients/detect.ts";
import { StoreError } from "../../src/store/mod.ts";
import { Proxy } from "./_proxy.ts";
import { freePort, RedisServer } from "./_server.ts";

const standIn = !import.meta.resolve("@db/redis").startsWith("jsr:");
const labels: Record<ClientKind, string> = {
  "@db/redis": standIn ? "@db/redis (stand-in)" : "@db/redis",
  "node-redis": "node-redis",
  "ioredis": "ioredis",
};

/** A client as a user makes it, with the settings it has by default. */
const made: Record<
  ClientKind,
  (url: URL) => Promise<{ client: object; ping: () => Promise<unknown>; end: () => void }>
> = {
  "@db/redis": async (url) => {
    const client = await dbRedis({ hostname: url.hostname, port: Number(url.port) });
    return { client, ping: () => client.sendCommand("PING"), end: () => client.close() };
  },
  "node-redis": async (url) => {
    const client = createClient({ url: url.href });
    await client.connect();
    return { client, ping: () => client.ping(), end: () => client.destroy() };
  },
  "ioredis": async (url) => {
    const client = new IoRedis(url.href, { keyPrefix: "theirs:" });
    await client.ping();
    return { client, ping: () => client.ping(), end: () => client.disconnect() };
  },
};

/** Connects to a server; a failure is what a user is told. */
async function open(kind: ClientKind, url: URL, timeout?: number, signal?: AbortSignal): Promise<TimedConnection> {
  const adapter = await loadAdapter(kind);
  try {
    return await openInTime((options) => adapter.open(url, options), { timeout: timeout ?? COMMAND_TIMEOUT, signal });
  } catch (error) {
    throw connectError(url, error);
  }
}

/** What a promise rejects with, and how long that took. */
async function failure(promise: Promise<unknown>): Promise<{ error: Error; after: number }> {
  const began = performance.now();
  const error = await assertRejects(() => promise, Error);
  return { error, after: performance.now() - began };
}

function assertUncertain(error: unknown): void {
  const classed = classify(error);
  assertInstanceOf(classed, StoreError);
  assertEquals(classed.kind, "uncertain");
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** A server that says one thing to whoever connects, and nothing else. */
function speaker(text: string | undefined): AsyncDisposable & { url: URL } {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const serving = (async () => {
    try {
      for await (const connection of listener) {
        if (text !== undefined) await connection.write(new TextEncoder().encode(text));
        const buffer = new Uint8Array(1024);
        while (await connection.read(buffer).catch(() => null) !== null);
        connection.close();
      }
    } catch (error) {
      assertInstanceOf(error, Deno.errors.BadResource);
    }
  })();
  return {
    url: new URL(`redis://127.0.0.1:${(listener.addr as Deno.NetAddr).port}`),
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await serving;
    },
  };
}

type Test = (kind: ClientKind, server: RedisServer) => Promise<void>;

const TESTS: Record<string, Test> = {
  "gives replies in the shapes of RESP 2": async (kind, { url }) => {
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

  "takes and gives megabytes, and thousands of arguments": async (kind, { url }) => {
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

  "runs what is under way together in the order of the calls": async (kind, { url }) => {
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

  "rejects with what the server answered, and goes on": async (kind, { url }) => {
    const connection = await open(kind, url);
    try {
      await connection.send(["SET", "key", "text"]);
      const wrong = (await failure(connection.send(["XLEN", "key"]))).error;
      assertEquals(wrong.message, "WRONGTYPE Operation against a key holding the wrong kind of value");
      assert(isServerReply(wrong));
      assertEquals(classify(wrong) instanceof StoreError, false);
      assertMatch(classify(wrong).message, /^Cannot use Redis: a key is of another type/);
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

  "never sends a command again when the answer was lost": async (kind, { port, url }) => {
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
      await pause(300);
      // @db/redis has one command under way at a time: the others were never sent.
      assertEquals(await check.send(["GET", "once"]), kind === "@db/redis" ? "1" : "3");
      assertEquals([proxy.connections, proxy.faults, proxy.open], [1, 1, 0]);
      const { error, after } = await failure(connection.send(["INCR", "once"]));
      assertInstanceOf(error, StoreError);
      assertEquals(error.kind, "transient");
      assertLess(after, 50);
    } finally {
      connection.close();
      check.close();
    }
  },

  "rejects what is under way when half a command was sent": async (kind, { port, url }) => {
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

  "rejects what is under way when the server ends only its direction": async (kind, { port }) => {
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

  "rejects at once when the server is killed, and opens again when it is back": async (kind) => {
    await using server = await RedisServer.start();
    const connection = await open(kind, server.url);
    const blocked = failure(connection.send(["BLPOP", "nothing", "0"], 60_000));
    await pause(50);
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

  "rejects an idle connection's next command when the server was killed": async (kind) => {
    await using server = await RedisServer.start();
    const connection = await open(kind, server.url);
    await server.kill();
    await pause(50);
    const { error, after } = await failure(connection.send(["PING"]));
    assertInstanceOf(classify(error), StoreError);
    assertLess(after, 500);
    connection.close();
  },

  "rejects within the deadline when the link swallows everything": async (kind, { port }) => {
    await using proxy = new Proxy(port);
    const connection = await open(kind, proxy.url, 300);
    proxy.inject({ fault: "swallow" });
    const first = failure(connection.send(["PING"]));
    await pause(100);
    const second = failure(connection.send(["PING"]));
    for (const { error, after } of await Promise.all([first, second])) {
      assertUncertain(error);
      assertLess(after, 700);
    }
    assertLess(250, (await first).after);
    assertLess((await failure(connection.send(["PING"]))).after, 50);
  },

  "gives a blocking command the time it asks for": async (kind, { url }) => {
    const connection = await open(kind, url, 200);
    assertEquals(await connection.send(["BLPOP", "nothing", "0.5"], 700), null);
    assertEquals(await connection.send(["PING"]), "PONG");
    connection.close();
  },

  "does not take its own stalled process for a dead server": async (kind, { url }) => {
    const connection = await open(kind, url, 200);
    const reply = connection.send(["PING"]);
    for (const end = performance.now() + 600; performance.now() < end;);
    assertEquals(await reply, "PONG");
    connection.close();
  },

  "ends a blocking read at once by close()": async (kind, { url }) => {
    const connection = await open(kind, url);
    await connection.send(["XGROUP", "CREATE", "blocked", "group", "0", "MKSTREAM"]);
    const read = ["XREADGROUP", "GROUP", "group", "me", "BLOCK", "30000", "STREAMS", "blocked", ">"];
    const blocked = failure(connection.send(read, 40_000));
    await pause(50);
    const began = performance.now();
    connection.close();
    connection.close();
    assertUncertain((await blocked).error);
    assertLess(performance.now() - began, 200);
  },

  "says at once when nothing listens": async (kind) => {
    const url = new URL(`redis://user:sesame@127.0.0.1:${freePort()}/3`);
    const { error, after } = await failure(open(kind, url));
    assertEquals(
      error.message,
      `Cannot connect to redis://${url.host}/3: nothing listens there; start one with \`redis-server\` or ` +
        "`docker compose up -d redis`",
    );
    assertLess(after, 1_000);
  },

  "says at once when user or password are wrong, without showing them": async (kind) => {
    await using server = await RedisServer.start(["--requirepass", "right"]);
    for (const credentials of [":sesame@", "user:sesame@"]) {
      const { error, after } = await failure(open(kind, new URL(`redis://${credentials}127.0.0.1:${server.port}`)));
      assertEquals(error.message, `Cannot connect to redis://127.0.0.1:${server.port}: wrong user or password`);
      assertEquals(Deno.inspect(error, { depth: 10 }).includes("sesame"), false);
      assertEquals(error instanceof StoreError, false);
      assertLess(after, 1_000);
    }
    const { error } = await failure(open(kind, server.url));
    assertMatch(error.message, /: it wants a password; give it/);
    const connection = await open(kind, new URL(`redis://:right@127.0.0.1:${server.port}/2`));
    const more = await connection.open();
    assertMatch(String(await more.send(["CLIENT", "LIST"])), /db=2 .*\n.*db=2 /);
    connection.close();
    more.close();
  },

  "says when the database does not exist": async (kind, { port }) => {
    const { error } = await failure(open(kind, new URL(`redis://127.0.0.1:${port}/99`)));
    assertMatch(error.message, /: it has no database of that number/);
    await assertRejects(() => open(kind, new URL(`redis://127.0.0.1:${port}/events`)), TypeError, 'database "events"');
  },

  "says when it is not a Redis": async (kind) => {
    await using http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response());
    const url = new URL(`redis://127.0.0.1:${http.addr.port}`);
    const { error, after } = await failure(open(kind, url));
    assertMatch(error.message, /: what answers there is not a Redis/);
    assertLess(after, 1_000);
    await using ssh = speaker("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    assertMatch((await failure(open(kind, ssh.url))).error.message, /: what answers there is not a Redis/);
  },

  "gives up a port that answers nothing": async (kind) => {
    await using silent = speaker(undefined);
    for (const url of [silent.url, new URL(silent.url.href.replace("//", "//:secret@"))]) {
      const { error, after } = await failure(open(kind, url, 300));
      assertMatch(error.message, /: nothing answered in time/);
      assertLess(after, 600);
    }
    const tls = new URL(silent.url.href.replace("redis:", "rediss:"));
    assertMatch((await failure(open(kind, tls, 300))).error.message, /: nothing answered in time/);
  },

  "leaves nothing open when it is aborted while connecting": async (kind, { port }) => {
    await using proxy = new Proxy(port);
    proxy.delay = 50;
    for (const after of [0, 1, 5, 20, 60, 90]) {
      const controller = new AbortController();
      const url = new URL(proxy.url.href.replace("//", "//:secret@"));
      const opening = open(kind, after % 2 === 0 ? proxy.url : url, undefined, controller.signal);
      setTimeout(() => controller.abort(new DOMException("enough", "AbortError")), after);
      assertEquals((await failure(opening)).error.message, "enough");
    }
    await pause(200);
    assertEquals(proxy.open, 0);
  },

  "refuses to speak without TLS to a server that wants it, and the other way round": async (kind, { url }) => {
    await using server = await tlsServer();
    const secure = new URL(`rediss://localhost:${server.tlsPort}`);
    const { error, after } = await failure(open(kind, secure));
    assertMatch(error.message, /: its certificate is not trusted/);
    assertLess(after, 1_000);
    const plain = await failure(open(kind, new URL(`redis://127.0.0.1:${server.tlsPort}`)));
    assertMatch(plain.error.message, /does it want TLS|rediss:\/\/ if it wants TLS/);
    // A Redis that speaks no TLS waits for the rest of what it takes for a command.
    const wrong = await failure(open(kind, new URL(url.href.replace("redis:", "rediss:")), 500));
    assertMatch(wrong.error.message, /whether it wants TLS \(rediss:\/\/\) or none \(redis:\/\/\)/);
  },

  "uses neither a client that was passed in nor closes it": async (kind, server) => {
    const { client, ping, end } = await made[kind](server.url);
    try {
      assertEquals(detectClient(client), kind);
      const adapter = await loadAdapter(kind);
      const connection = await openInTime((options) => adapter.adopt(client, options));
      assertEquals(await connection.send(["SET", "adopted", "1"]), "OK");
      assertEquals(await connection.send(["GET", "adopted"]), "1");
      assertMatch(await server.cli("GET", "adopted"), /1/);
      const more = await connection.open();
      connection.close();
      assertEquals(await more.send(["HGETALL", "nothing"]), []);
      more.close();
      assertEquals(await ping(), "PONG");
    } finally {
      end();
    }
  },

  "never sends again for a client that was passed in and would": async (kind, server) => {
    await using proxy = new Proxy(server.port);
    const { client, end } = await made[kind](proxy.url);
    try {
      const adapter = await loadAdapter(kind);
      const connection = await openInTime((options) => adapter.adopt(client, options));
      proxy.inject({ fault: "reply", request: /INCR/ });
      assertUncertain((await failure(connection.send(["INCR", "adopted once"]))).error);
      await pause(300);
      assertEquals(await server.cli("GET", "adopted once"), "1");
      connection.close();
    } finally {
      end();
    }
  },

  "is ended by a deadline without any help of its own": async (kind, { url }) => {
    const adapter = await loadAdapter(kind);
    let raw: RedisConnection | undefined;
    const connection = withDeadline(raw = await adapter.open(url), 100);
    assertUncertain((await failure(connection.send(["BLPOP", "nothing", "0"]))).error);
    const after = await failure(raw.send(["PING"]));
    assertLess(after.after, 50);
  },
};

async function tlsServer(): Promise<AsyncDisposable & { tlsPort: number }> {
  const folder = Deno.makeTempDirSync({ prefix: "tidings-tls-" });
  const [key, cert] = [`${folder}/key.pem`, `${folder}/cert.pem`];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"];
  const made = await new Deno.Command("openssl", {
    args: ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", key, "-out", cert, ...subject],
    stderr: "null",
  }).output();
  assert(made.success, "openssl makes a certificate");
  const tlsPort = freePort();
  const files = ["--tls-cert-file", cert, "--tls-key-file", key, "--tls-ca-cert-file", cert];
  const server = await RedisServer.start(["--tls-port", String(tlsPort), ...files, "--tls-auth-clients", "no"]);
  return {
    tlsPort,
    [Symbol.asyncDispose]: async () => {
      await server[Symbol.asyncDispose]();
      await Deno.remove(folder, { recursive: true });
    },
  };
}

for (const kind of Object.keys(labels) as ClientKind[]) {
  Deno.test(labels[kind], async (test) => {
    await using server = await RedisServer.start();
    for (const [name, run] of Object.entries(TESTS)) {
      await test.step(name, async () => {
        await server.cli("FLUSHALL");
        await run(kind, server);
      });
    }
  });
}

Deno.test("detectClient() refuses what it does not know, and clusters, and says what it takes", () => {
  const cluster = new IoRedis.Cluster([{ host: "127.0.0.1", port: 1 }], { lazyConnect: true });
  for (const client of [undefined, null, 1, "redis", {}, { sendCommand: 1 }, new Map(), cluster]) {
    assertThrows(
      () => detectClient(client),
      TypeError,
      "Cannot use this as a Redis client: give a URL, or a client of",
    );
  }
  cluster.disconnect();
});

Deno.test("classify() tells what may be tried again from what may not", () => {
  const lost = classify(new Error("Socket closed unexpectedly"));
  assertInstanceOf(lost, StoreError);
  assertEquals(lost.kind, "uncertain");
  const aborted = new DOMException("enough", "AbortError");
  assertEquals(classify(aborted), aborted);
});
