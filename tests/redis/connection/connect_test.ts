// Guarantee 34: clients that were passed in, and errors of connecting that say the way out.

import { assertEquals, assertLess, assertMatch, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { Redis as IoRedis } from "ioredis";
import { openInTime } from "../../../src/redis/connection/_connection.ts";
import { detectClient, loadAdapter } from "../../../src/redis/clients/detect.ts";
import { StoreError } from "../../../src/store/mod.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { assertUncertain, failure, made, open, pause, Speaker, standIn, testClients, tlsServer } from "../_clients.ts";
import { Proxy } from "../_proxy.ts";
import { freePort } from "../_free_port.ts";
import { RedisServer } from "../_server.ts";

// In ms: a deadline for what does not reply.
const SHORT = 150;

testClients("connecting", {
  "open() rejects at once when nothing listens": async (kind) => {
    const url = new URL(`redis://user:sesame@127.0.0.1:${freePort()}/3`);
    const { error, after } = await failure(open(kind, url));
    assertEquals(
      error.message,
      `Cannot connect to redis://${url.host}/3: nothing listens there; start one with \`redis-server\` or ` +
        "`docker compose up -d redis`",
    );
    assertLess(after, 1_000);
  },

  "open() rejects at once without showing credentials when they are wrong": async (kind) => {
    await using server = await RedisServer.start(["--requirepass", "right"]);
    for (const credentials of [":sesame@", "user:sesame@"]) {
      const { error, after } = await failure(open(kind, new URL(`redis://${credentials}127.0.0.1:${server.port}`)));
      assertStringIncludes(
        error.message,
        `Cannot connect to redis://127.0.0.1:${server.port}: wrong user or password; correct them`,
      );
      assertEquals(Deno.inspect(error, { depth: 10 }).includes("sesame"), false);
      assertEquals(error instanceof StoreError, false);
      assertLess(after, 1_000);
    }
    const { error } = await failure(open(kind, server.url));
    assertMatch(error.message, /: it wants a password; give redis\.password/);
    const connection = await open(kind, new URL(`redis://:right@127.0.0.1:${server.port}/2`));
    const more = await connection.open();
    assertMatch(String(await more.send(["CLIENT", "LIST"])), /db=2 .*\n.*db=2 /);
    connection.close();
    more.close();
  },

  "open() rejects when the database does not exist": async (kind, { port }) => {
    const { error } = await failure(open(kind, new URL(`redis://127.0.0.1:${port}/99`)));
    assertMatch(error.message, /: it has no database of that number/);
    await assertRejects(() => open(kind, new URL(`redis://127.0.0.1:${port}/events`)), TypeError, 'database "events"');
  },

  "open() rejects when the server is not a Redis": async (kind) => {
    await using http = Deno.serve({ hostname: "127.0.0.1", port: 0, onListen: () => {} }, () => new Response());
    const url = new URL(`redis://127.0.0.1:${http.addr.port}`);
    const { error, after } = await failure(open(kind, url));
    assertMatch(error.message, /: the server there is not a Redis/);
    assertLess(after, 1_000);
    await using ssh = new Speaker("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
    assertMatch((await failure(open(kind, ssh.url))).error.message, /: the server there is not a Redis/);
  },

  "open() closes its connection and rejects when the server does not reply in time": async (kind) => {
    await using silent = new Speaker();
    for (const url of [silent.url, new URL(silent.url.href.replace("//", "//:secret@"))]) {
      const { error, after } = await failure(open(kind, url, SHORT));
      assertMatch(error.message, /: nothing answered in time/);
      assertLess(after, SHORT + 2_000);
    }
    await until(() => silent.open.size === 0, "the connections are closed");
    const tls = new URL(silent.url.href.replace("redis:", "rediss:"));
    assertMatch((await failure(open(kind, tls, SHORT))).error.message, /: nothing answered in time/);
    // Deno keeps a TLS connection that was closed during its handshake until the server closes it.
    if (standIn || kind !== "@db/redis") await until(() => silent.open.size === 0, "the connection is closed");
  },

  "open() leaves no connection open when it is aborted": async (kind, { port }) => {
    await using proxy = new Proxy(port);
    proxy.delay = 50;
    for (const after of [0, 1, 5, 20, 60, 90]) {
      const controller = new AbortController();
      const url = new URL(proxy.url.href.replace("//", "//:secret@"));
      const opening = open(kind, after % 2 === 0 ? proxy.url : url, undefined, controller.signal);
      setTimeout(() => controller.abort(new DOMException("enough", "AbortError")), after);
      assertEquals((await failure(opening)).error.message, "enough");
    }
    // The proxy accepts connections in order: after this one, it has accepted all that were begun before.
    (await open(kind, proxy.url)).close();
    await until(() => proxy.open === 0, "all connections are closed");
  },

  "open() rejects when only one side uses TLS, or the certificate is not trusted": async (kind, { url }) => {
    await using server = await tlsServer();
    const secure = new URL(`rediss://localhost:${server.tlsPort}`);
    const { error, after } = await failure(open(kind, secure));
    assertMatch(error.message, /: its certificate is not trusted/);
    assertLess(after, 1_000);
    const plain = await failure(open(kind, new URL(`redis://127.0.0.1:${server.tlsPort}`)));
    assertMatch(plain.error.message, /whether it wants TLS|rediss:\/\/ if it wants TLS/);
    // A Redis without TLS takes the handshake for a part of a command, and waits for the rest.
    const wrong = await failure(open(kind, new URL(url.href.replace("redis:", "rediss:")), SHORT));
    assertMatch(wrong.error.message, /whether it wants TLS \(rediss:\/\/\) or none \(redis:\/\/\)/);
  },

  "adopt() neither uses nor closes the client that was passed in": async (kind, server) => {
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

  "adopt() never sends a command again though the client that was passed in would": async (kind, server) => {
    await using proxy = new Proxy(server.port);
    const { client, end } = await made[kind](proxy.url);
    try {
      const adapter = await loadAdapter(kind);
      const connection = await openInTime((options) => adapter.adopt(client, options));
      proxy.inject({ fault: "reply", request: /INCR/ });
      assertUncertain((await failure(connection.send(["INCR", "adopted once"]))).error);
      // The client sends commands again as soon as it has reconnected, within 300 ms.
      await pause(300);
      assertEquals(await server.cli("GET", "adopted once"), "1");
      connection.close();
    } finally {
      end();
    }
  },
});

Deno.test("detectClient() accepts cluster clients, and names the known clients when it rejects an object", () => {
  const cluster = new IoRedis.Cluster([{ host: "127.0.0.1", port: 1 }], { lazyConnect: true });
  for (const client of [undefined, null, 1, "redis", {}, { sendCommand: 1 }, new Map()]) {
    assertThrows(
      () => detectClient(client),
      TypeError,
      "Cannot use this as a Redis client: give a URL, or a client of",
    );
  }
  assertEquals(detectClient(cluster), "ioredis");
  cluster.disconnect();
});
