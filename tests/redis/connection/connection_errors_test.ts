// Guarantee 34: each error of a connection and each of its causes says what failed and on which server.

import { assert, assertEquals, assertLess, assertMatch } from "@std/assert";
import { classify } from "../../../src/redis/connection/_errors.ts";
import { RedisBroker } from "@tidings/broker";
import { failure, open, Speaker, testClients, tlsServer } from "../_clients.ts";
import { Counted, until } from "../../../src/testing/_broker_bench.ts";
import { freePort } from "../_free_port.ts";
import { RedisServer } from "../_server.ts";

/** Messages of an error and of its causes, outermost first; asserts that none is empty or shows the password. */
function messagesOf(error: unknown): string[] {
  const messages: string[] = [];
  for (let at = error; at !== undefined; at = (at as Error).cause) {
    assert(at instanceof Error, Deno.inspect(error));
    messages.push(at.message);
    assert(/\w{3}/.test(at.message), `an error without a message: ${Deno.inspect(error)}`);
  }
  assertEquals(Deno.inspect(error, { depth: 10 }).includes("sesame"), false, "credentials are not shown");
  return messages;
}

testClients("errors of connections", {
  "open() names the address when nothing listens there": async (kind) => {
    const url = new URL(`redis://user:sesame@127.0.0.1:${freePort()}`);
    const [message] = messagesOf((await failure(open(kind, url))).error);
    assertMatch(message!, new RegExp(`^Cannot connect to redis://127.0.0.1:${url.port}: nothing listens there`));
  },

  "open() names the host when it may not be resolved": async (kind) => {
    // These tests may only resolve localhost.
    const url = new URL("redis://user:sesame@no-such-host.invalid:6379");
    const [message] = messagesOf((await failure(open(kind, url))).error);
    assertMatch(message!, /^Cannot connect to redis:\/\/no-such-host\.invalid:6379: Deno needs --allow-net to connect/);
  },

  "open() says so when the server closes each connection": async (kind) => {
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const closing = (async () => {
      for await (const connection of listener) connection.close();
    })();
    const { port } = listener.addr as Deno.NetAddr;
    try {
      const [message] = messagesOf((await failure(open(kind, new URL(`redis://:sesame@127.0.0.1:${port}`)))).error);
      assertMatch(message!, new RegExp(`^Cannot connect to redis://127.0.0.1:${port}: it closed the connection`));
    } finally {
      listener.close();
      await closing.catch(() => {});
    }
  },

  "open() mentions TLS when only one side uses it": async (kind, { port }) => {
    await using server = await tlsServer();
    const plain = await failure(open(kind, new URL(`redis://:sesame@127.0.0.1:${server.tlsPort}`)));
    assertMatch(messagesOf(plain.error)[0]!, /TLS/);
    const secure = await failure(open(kind, new URL(`rediss://:sesame@127.0.0.1:${port}`), 150));
    assertMatch(messagesOf(secure.error)[0]!, /TLS/);
    await using speaker = new Speaker("-ERR unknown\r\n");
    const wrong = await failure(open(kind, new URL(`rediss://:sesame@127.0.0.1:${speaker.url.port}`)));
    assertMatch(messagesOf(wrong.error)[0]!, /TLS/);
  },

  "send() names the server when it closed the connection before the reply": async (kind) => {
    await using server = await RedisServer.start();
    const connection = await open(kind, server.url);
    const blocked = failure(connection.send(["BLPOP", "nothing", "0"], 60_000));
    await until(async () => await server.blockedClients() === 1, "it blocks");
    await server.kill();
    const { error } = await blocked;
    const messages = messagesOf(classify(error));
    assertMatch(
      messages[0]!,
      /^Cannot tell whether .+ ran the command: the server closed the connection before the reply/,
    );
    messagesOf((await failure(connection.send(["PING"]))).error);
    connection.close();
  },

  "info() of a broker names the server when it was killed": async (kind) => {
    await using server = await RedisServer.start();
    const url = new URL(server.url);
    const broker = await RedisBroker.connect(url, { events: [Counted], client: kind });
    await server.kill();
    const began = performance.now();
    const { error } = await failure(broker.info(Counted));
    const [message] = messagesOf(error);
    assertMatch(
      message!,
      new RegExp(`redis://127.0.0.1:${url.port} ran the command: the server closed the connection`),
    );
    assertLess(performance.now() - began, 5_000);
    await broker.close().catch(() => {});
  },
});
