import { assert, assertEquals, assertLess, assertMatch, assertRejects } from "@std/assert";
import { connect, defineEvent, RedisBroker } from "@tidings/broker";
import { told, until, within } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openConnection, SharedServer } from "../_bench.ts";
import { made } from "../_clients.ts";
import { Pretender } from "./_pretender.ts";
import { freePort } from "../_free_port.ts";
import { RedisServer } from "../_server.ts";

class Noted extends defineEvent("Noted")<{ n: number }> {}
const shared = new SharedServer();
const CREDENTIALS = "alice:open%20sesame@";

/** The error of connecting, which must come in time and contain no credentials. */
async function refusal(url: URL, timeout = 4_000): Promise<Error> {
  url.href = url.href.replace("//", `//${CREDENTIALS}`);
  const began = performance.now();
  const error = await assertRejects(() => connect(url, { events: [Noted] }), Error);
  assertLess(performance.now() - began, timeout);
  const all = Deno.inspect(error, { depth: 10 });
  assert(!/sesame|alice/.test(all), all);
  return error;
}

Deno.test("connect() rejects at once, and says how to start a server, when nothing listens", async () => {
  const port = freePort();
  const { message } = await refusal(new URL(`redis://127.0.0.1:${port}`));
  assertEquals(
    message,
    `Cannot connect to redis://127.0.0.1:${port}: nothing listens there; start one with \`redis-server\` or ` +
      "`docker compose up -d redis`",
  );
});

Deno.test("connect() rejects at once when the user or password is wrong", async () => {
  await using server = await RedisServer.start(["--requirepass", "right"]);
  assertMatch((await refusal(server.url)).message, /: wrong user or password; correct them/);
});

Deno.test("connect() rejects at once when the server is not a Redis", async () => {
  await using http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response());
  assertMatch((await refusal(new URL(`redis://127.0.0.1:${http.addr.port}`))).message, /is not a Redis/);
});

Deno.test("connect() rejects with the reason of its signal when it aborts while connecting", async () => {
  const reason = new Error("enough");
  const controller = new AbortController();
  await using silent = new Pretender(() => (controller.abort(reason), ""));
  const began = performance.now();
  const error = await assertRejects(() => connect(silent.url, { events: [Noted], signal: controller.signal }));
  assertEquals(error, reason);
  // The deadline of connecting is five seconds.
  assertLess(performance.now() - began, 4_000);
});

Deno.test("connect() refuses what is not a URL of a Redis, and does not show credentials in it", async () => {
  for (const url of ["redis://alice:sesame@", "redis:alice:sesame", "rediss://alice:sesame@host:port"]) {
    const error = await assertRejects(() => connect(url, { events: [Noted] }), TypeError);
    assert(!error.message.includes("sesame"), error.message);
  }
});

Deno.test("publish() and subscribe() reject at once, and say the way out, when the key is of another type", async () => {
  await using keys = shared.keys();
  await using broker = await connect(keys.url, { events: [Noted], prefix: keys.prefix });
  const connection = await openConnection(keys.url);
  await connection.send(["SET", `${keys.prefix}:Noted`, "text"]);
  const advice = /a key has another type than expected, .* rename that key, or choose another prefix/;
  const event = new Noted({ n: 1 });
  const attempts: Record<string, () => Promise<unknown>> = {
    publish: () => broker.publish(event),
    subscribe: () => broker.subscribe(Noted, () => {}, { group: "group" }),
    history: () => Array.fromAsync(broker.history(Noted)),
    info: () => broker.info(Noted),
  };
  for (const [name, attempt] of Object.entries(attempts)) {
    const began = performance.now();
    const error = await assertRejects(attempt, Error);
    assertMatch(error.message, advice, name);
    assertLess(performance.now() - began, 1_000);
  }
  await connection.send(["DEL", `${keys.prefix}:Noted`]);
  connection.close();
  assertEquals((await broker.history(Noted).next()).done, true);
  await broker.publish(event);
  assertEquals((await broker.info(Noted)).length, 1);
});

Deno.test("subscribe() ends with an error when its stream becomes a key of another type", async () => {
  await using keys = shared.keys();
  await using broker = await connect(keys.url, { events: [Noted], prefix: keys.prefix });
  const connection = await openConnection(keys.url);
  const subscription = await broker.subscribe(Noted, () => {}, { group: "group" });
  const errors = told<Event & { error: Error }>(subscription, "error");
  await broker.publish(new Noted({ n: 1 }));
  await until(async () => (await broker.info(Noted)).groups[0]!.lag === 0, "the event is read");
  await connection.send(["SET", `${keys.prefix}:Noted`, "text"]);
  const error = await within(assertRejects(() => subscription.closed, Error), "the subscription's end", 8_000);
  assertMatch(error.message, /a key has another type than expected/);
  assertEquals(errors.map(({ error }) => error.message), [error.message]);
  connection.close();
});

Deno.test("subscribe() ends with an error when its user is deleted", async () => {
  await using server = await RedisServer.start();
  await server.cli("ACL", "SETUSER", "alice", "on", ">sesame", "~*", "&*", "+@all");
  const url = new URL(server.url.href.replace("//", "//alice:sesame@"));
  await using broker = await connect(url, { events: [Noted], publishTimeout: 5_000 });
  const subscription = await broker.subscribe(Noted, () => {}, { group: "group", drainTimeout: 100 });
  const errors = told<Event & { error: Error }>(subscription, "error");
  // The server also closes the connections of the user.
  await server.cli("ACL", "DELUSER", "alice");
  const error = await within(assertRejects(() => subscription.closed, Error), "the subscription's end", 8_000);
  assertMatch(error.message, /wrong user or password/);
  assert(!Deno.inspect(error, { depth: 10 }).includes("sesame"));
  assert(errors.length > 0);
});

for (const kind of KINDS) {
  Deno.test(`RedisBroker.connect() neither delays nor closes a client of ${LABELS[kind]} that was passed in`, async () => {
    await using keys = shared.keys();
    const { client, ping, end } = await made[kind](keys.url);
    try {
      const broker = await RedisBroker.connect(client, { events: [Noted], prefix: keys.prefix });
      const handled: number[] = [];
      await broker.subscribe(Noted, (event) => void handled.push(event.detail.n), { group: "group" });
      broker.addEventListener("Noted", () => {});
      const slowest = { ping: 0 };
      for (let n = 0; n < 20; n++) {
        await broker.publish(new Noted({ n }));
        const began = performance.now();
        assertEquals(await ping(), "PONG");
        slowest.ping = Math.max(slowest.ping, performance.now() - began);
      }
      await until(() => handled.length === 20, "all are handled");
      // Commands of the client do not wait behind the blocked reads of the broker.
      assertLess(slowest.ping, 1_000);
      await broker.close();
      assertEquals(await ping(), "PONG");
      await using again = await RedisBroker.connect(client, { events: [Noted], prefix: keys.prefix });
      assertEquals((await again.info(Noted)).length, 20);
    } finally {
      end();
    }
  });
}

Deno.test("RedisBroker.connect() refuses a target that is neither a URL nor a client", async () => {
  for (const wrong of [{}, [], new Date(), new Map()]) {
    await assertRejects(() => RedisBroker.connect(wrong, { events: [Noted] }), TypeError, "Cannot use this as a Redis");
  }
  await assertRejects(() => RedisBroker.connect("http://127.0.0.1", { events: [Noted] }), TypeError, "Cannot connect");
});

Deno.test("RedisBroker.connect() names the known packages when the client option is none of them", async () => {
  for (const [client, shown] of [["redis", '"redis"'], [null, "null"], ["", '""'], [{}, "a plain object"]]) {
    const options = { events: [Noted], client: client as "ioredis" };
    const error = await assertRejects(() => RedisBroker.connect("redis://127.0.0.1:1", options), TypeError);
    assertEquals(
      error.message,
      `Cannot connect to Redis by client ${shown}: it is not supported; give "@db/redis" or "node-redis" or "ioredis"`,
    );
  }
});

Deno.test("RedisBroker.connect() refuses a client option with a client object", async () => {
  await using keys = shared.keys();
  const { client, end } = await made["node-redis"](keys.url);
  try {
    const options = { events: [Noted], client: "ioredis" } as const;
    const error = await assertRejects(() => RedisBroker.connect(client, options), TypeError);
    assertEquals(
      error.message,
      'Cannot use client "ioredis" with a client object: the object\'s own package connects; leave the option out, or ' +
        "give a URL",
    );
  } finally {
    end();
  }
});
