// TLS with authorities and client certificates, and credentials that are never shown.

import { assert, assertEquals, assertLess, assertMatch, assertRejects, assertStringIncludes } from "@std/assert";
import { defineEvent, RedisBroker, type RedisOptions, type TlsOptions } from "@tidings/broker";
import { Redis as IoRedis } from "ioredis";
import { createClient } from "redis";
import { told, until, within } from "../../../src/testing/_broker_bench.ts";
import { fencesOf, readPage, writeFiles } from "../../docs/_markdown.ts";
import { projectFlags } from "../../docs/_run_page.ts";
import { Authority } from "../_certificates.ts";
import { KINDS, LABELS } from "../_bench.ts";
import { RedisServer } from "../_server.ts";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";

class Sold extends defineEvent("Sold")<{ n: number }> {}
const events = [Sold];

const open = (kind: ClientKind, url: string, redis: RedisOptions = {}) =>
  RedisBroker.connect(url, { client: kind, events, redis });

/** Asserts that a broker can publish and consume. */
async function assertWorks(opening: Promise<RedisBroker<typeof Sold>>): Promise<void> {
  await using broker = await opening;
  const handled: number[] = [];
  await broker.subscribe(Sold, ({ detail }) => void handled.push(detail.n), { group: "shop" });
  await broker.publish(new Sold({ n: 7 }));
  await until(() => handled.length === 1, "the event is handled");
  assertEquals(handled, [7]);
}

/** The error of connecting, which must come at once. */
async function refusal(opening: Promise<unknown>): Promise<Error> {
  const began = performance.now();
  const error = await assertRejects(() => opening, Error);
  assertLess(performance.now() - began, 3_000);
  return error;
}

for (const kind of KINDS) {
  Deno.test(`RedisBroker by ${LABELS[kind]} uses the authority in redis.tls.ca, and says the way out when it does not fit`, async () => {
    await using authority = await Authority.make();
    await using other = await Authority.make();
    await using secure = await authority.serve();
    const { ca } = authority;
    await assertWorks(open(kind, secure.url, { tls: { ca } }));
    // Several authorities are allowed.
    await assertWorks(open(kind, secure.url, { tls: { ca: [other.ca, ca] } }));

    for (const tls of [undefined, {}, { ca: other.ca }]) {
      const { message } = await refusal(open(kind, secure.url, tls && { tls }));
      assertMatch(message, /: its certificate is not trusted; give its authority's certificate as redis\.tls\.ca/);
    }
    const byNumber = secure.url.replace("localhost", "127.0.0.1");
    const { message } = await refusal(open(kind, byNumber, { tls: { ca } }));
    assertMatch(message, /: its certificate is for another host name; .* redis\.tls\.servername$/);
    const plain = await refusal(open(kind, secure.url.replace("rediss:", "redis:")));
    assertMatch(plain.message, /whether it wants TLS \(rediss:\/\/\)|rediss:\/\/ if it wants TLS/);
    await assertRejects(
      () => open(kind, secure.url.replace("rediss:", "redis:"), { tls: { ca } }),
      TypeError,
      "Cannot use redis.tls with redis://: that URL is for a connection without TLS; write rediss://, or leave redis.tls out",
    );
  });
}

for (const kind of ["node-redis", "ioredis"] as const) {
  Deno.test(`RedisBroker by ${kind} shows its certificate when the server asks for one`, async () => {
    await using authority = await Authority.make();
    await using other = await Authority.make();
    await using secure = await authority.serve({ asks: true });
    const { ca } = authority;
    const ours = await authority.sign();
    await assertWorks(open(kind, secure.url, { tls: { ca, ...ours } }));
    const byNumber = secure.url.replace("localhost", "127.0.0.1");
    await assertWorks(open(kind, byNumber, { tls: { ca, ...ours, servername: "localhost" } }));

    const none = await refusal(open(kind, secure.url, { tls: { ca } }));
    // The server may close the connection before its error is read.
    const gone = /it may want a client certificate, or another one: give redis\.tls\.cert and redis\.tls\.key$/;
    assertMatch(none.message.replace(gone, ""), /: it wants a .*give redis\.tls\.cert and|without an answer; $/);
    const strange = await refusal(open(kind, secure.url, { tls: { ca, ...await other.sign() } }));
    assertMatch(
      strange.message.replace(gone, ""),
      /: it rejected the client .* redis\.tls\.cert$|without an answer; $/,
    );
    const key = ours.key.split("\n")[1]!;
    for (const error of [none, strange]) assert(!Deno.inspect(error, { depth: 20 }).includes(key));
  });
}

Deno.test("docs/README_REDIS.md has a program with certificates that runs", async () => {
  await using authority = await Authority.make();
  await using secure = await authority.serve({ asks: true });
  const { cert, key } = await authority.sign();
  const snippet = fencesOf(readPage("docs/README_REDIS.md")).find(({ info }) => info === "tls")!.text;
  const folder = await Deno.makeTempDir({ prefix: "tidings-tls-" });
  try {
    const text = snippet.replace("rediss://redis.example:6380", secure.url);
    await writeFiles(
      folder,
      new Map([["snippet.ts", text], ["ca.pem", authority.ca], ["client.pem", cert], ["client.key", key]]),
    );
    const { success, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["run", "-A", ...projectFlags(), "snippet.ts"],
      cwd: folder,
    }).output();
    assert(success, new TextDecoder().decode(stderr));
    assertEquals(await secure.server.cli("XLEN", "events:AuctionEnded"), "1");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("RedisBroker.connect() uses the TLS settings of a client that was passed in", async () => {
  await using authority = await Authority.make();
  await using secure = await authority.serve({ asks: true });
  const tls = { ca: authority.ca, ...await authority.sign() };
  const node = createClient({ url: secure.url, socket: { tls: true, ...tls } });
  await assertWorks(RedisBroker.connect(node, { events }));
  const io = new IoRedis(secure.url, { tls, lazyConnect: true });
  await assertWorks(RedisBroker.connect(io, { events }));
  const { message } = await assertRejects(() => RedisBroker.connect(io, { events, redis: { tls } }), TypeError);
  assertEquals(
    message,
    "Cannot use redis.tls with a client object: the client has its own settings; leave redis.tls out",
  );
});

Deno.test("RedisBroker by @db/redis names the other clients when redis.tls has a certificate", async () => {
  await using authority = await Authority.make();
  const ours = await authority.sign();
  for (const tls of [ours, { servername: "localhost" }] satisfies TlsOptions[]) {
    const { message } = await assertRejects(() => open("@db/redis", "rediss://localhost:1", { tls }), TypeError);
    assertStringIncludes(message, "use @tidings/broker/node-redis or @tidings/broker/ioredis");
  }
});

Deno.test("redis.tls refuses names of files, and says that it takes their contents", async () => {
  const bad: [object, string][] = [
    [{ ca: "ca.pem" }, "redis.tls.ca: it is not in PEM format; give the content of the file"],
    [{ ca: ["/etc/ssl/ca.pem"] }, "redis.tls.ca: it is not in PEM format; give the content of the file"],
    [{ ca: "" }, "redis.tls.ca: it is not a string, or it is empty"],
    [
      { cert: "client.pem", key: "client.key" },
      "redis.tls.cert: it is not in PEM format; give the content of the file",
    ],
    [{ cert: "-----BEGIN CERTIFICATE-----" }, "a client certificate without its key"],
    [{ key: "-----BEGIN PRIVATE KEY-----" }, "a client certificate without its key"],
    [{ rejectUnauthorized: false }, "rejectUnauthorized"],
  ];
  for (const [tls, message] of bad) {
    await assertRejects(() => open("node-redis", "rediss://localhost:1", { tls }), TypeError, message);
  }
});

// With every character that has a meaning in a URL.
const USER = "al@i/c:e%?#é";
const PASSWORD = "op@en:se/sa%me?#[é ]";
const SECRETS = [USER, PASSWORD, encodeURIComponent(USER), encodeURIComponent(PASSWORD)];

/** Asserts that a value contains no credentials at any depth. */
function assertSecret(told: unknown): void {
  const text = Deno.inspect(told, { depth: 20, iterableLimit: 1_000, strAbbreviateSize: 1_000_000, showHidden: true });
  for (const secret of [...SECRETS, "se/sa%me", "sa%25me"]) assert(!text.includes(secret), text);
}

/** Adds a user with those credentials. */
async function addUser(server: RedisServer, ...rules: readonly string[]): Promise<void> {
  assertEquals(await server.cli("ACL", "SETUSER", USER, "reset", "on", `>${PASSWORD}`, ...rules), "OK");
}

const byUrl = (port: number, user = USER, password = PASSWORD) =>
  `redis://${encodeURIComponent(user)}:${encodeURIComponent(password)}@127.0.0.1:${port}`;

for (const kind of KINDS) {
  Deno.test(`RedisBroker by ${LABELS[kind]} takes any user and password from the URL or the options`, async () => {
    await using server = await RedisServer.start();
    await addUser(server, "~*", "&*", "+@all");
    // A user without a password, other than the default user.
    await server.cli("ACL", "SETUSER", "guest", "on", "nopass", "~*", "+@all");
    const { port } = server;
    const plain = `redis://127.0.0.1:${port}`;
    const whoIsThere = async (broker: RedisBroker<typeof Sold>) => {
      await broker.publish(new Sold({ n: 1 }));
      const users = [...(await server.cli("CLIENT", "LIST")).matchAll(/cmd=(?!client).* user=(.*) redir/g)];
      await broker.close();
      return new Set(users.map(([, user]) => user));
    };
    const ways: readonly [string, RedisOptions, string][] = [
      [byUrl(port), {}, USER],
      [plain, { username: USER, password: PASSWORD }, USER],
      // The options override the URL.
      [byUrl(port, "guest", "wrong"), { username: USER, password: PASSWORD }, USER],
      [`redis://${encodeURIComponent(USER)}@127.0.0.1:${port}`, { password: PASSWORD }, USER],
      [`redis://guest@127.0.0.1:${port}`, {}, "guest"],
      [plain, { username: "guest" }, "guest"],
      [plain, {}, "default"],
    ];
    for (const [url, redis, user] of ways) {
      assertEquals(await whoIsThere(await open(kind, url, redis)), new Set([user]));
    }
  });

  Deno.test(`RedisBroker by ${LABELS[kind]} rejects at once, and shows no credentials, when they are wrong`, async () => {
    await using server = await RedisServer.start();
    await addUser(server, "~*", "&*", "+@all");
    await server.cli("CONFIG", "SET", "requirepass", "other");
    const { port } = server;
    const plain = `redis://127.0.0.1:${port}`;
    const wrong: readonly [string, RedisOptions, RegExp][] = [
      [byUrl(port, USER, `${PASSWORD}!`), {}, /: wrong user or password; correct them/],
      [byUrl(port, `${USER}!`), {}, /: wrong user or password; correct them/],
      [plain, { username: USER, password: `${PASSWORD}!` }, /: wrong user or password; correct them/],
      [plain, { username: USER }, /: wrong user or password; correct them/],
      [plain, { password: PASSWORD }, /: wrong user or password; correct them/],
      [plain, {}, /: it wants a password; give redis\.password, or a URL such as redis:\/\/:password@host/],
      // The URL is malformed.
      [`redis://${USER}:${PASSWORD}@127.0.0.1:${port}`, {}, /write "@" as "%40".* or give redis\.username/],
      [`${byUrl(port)}/${encodeURIComponent(PASSWORD)}`, {}, /database|URL/],
    ];
    for (const [url, redis, message] of wrong) {
      const error = await refusal(open(kind, url, redis));
      assertMatch(error.message, message);
      if (!url.endsWith(encodeURIComponent(PASSWORD))) assertSecret(error);
    }
  });

  Deno.test(`RedisBroker by ${LABELS[kind]} rejects at once, and says the way out, when a permission is missing`, async () => {
    await using server = await RedisServer.start();
    await addUser(server, "~events:*", "~{events:*", "+@all", "-info");
    const url = byUrl(server.port);
    const connecting = await refusal(open(kind, url));
    assertMatch(connecting.message, /: its user lacks a permission; grant it with ACL SETUSER/);
    assertStringIncludes(connecting.message, "'info' command");
    assertSecret(connecting);

    await server.cli("ACL", "SETUSER", USER, "+info", "-xadd", "-xgroup");
    await using broker = await open(kind, url);
    const publishing = await refusal(broker.publish(new Sold({ n: 1 })));
    const subscribing = await refusal(broker.subscribe(Sold, () => {}, { group: "shop" }));
    await server.cli("ACL", "SETUSER", USER, "resetkeys", "~other:*");
    const reading = await refusal(Array.fromAsync(broker.history(Sold)));
    for (const error of [publishing, subscribing, reading]) {
      assertMatch(error.message, /its user lacks a permission; grant it with ACL SETUSER/);
      assertSecret(error);
    }
  });
}

Deno.test("RedisBroker shows its credentials in no event and no error when the server is killed and its user deleted", async () => {
  await using server = await RedisServer.start(["--appendonly", "no"]);
  await addUser(server, "~*", "&*", "+@all");
  const everything: unknown[] = [];
  await using broker = await open("node-redis", byUrl(server.port));
  for (const type of ["error", "reconnect", "warning", "undecodable", "close"]) everything.push(told(broker, type));
  const warnings = told(broker, "warning");
  const reconnects = told(broker, "reconnect");
  const subscription = await broker.subscribe(Sold, () => {}, { group: "shop", drainTimeout: 100 });
  for (const type of ["error", "retry", "grouplost", "close"]) everything.push(told(subscription, type));
  broker.addEventListener("Sold", () => {});
  await broker.publish(new Sold({ n: 1 }));
  await until(() => warnings.length === 1, "the warning has come");
  everything.push(await broker.info(Sold), broker, subscription);

  await server.kill();
  const publishing = assertRejects(() => broker.publish(new Sold({ n: 2 })), Error);
  await until(() => reconnects.length > 0, "the connection is lost");
  await server.restart();
  // The restarted server does not know the user: it refuses the publish for good.
  await server.cli("ACL", "SETUSER", "default", "off");
  everything.push(await within(publishing, "publishing ends", 15_000));
  everything.push(await within(assertRejects(() => subscription.closed, Error), "it ends", 15_000));
  everything.push(await assertRejects(() => broker.info(Sold), Error));
  assertSecret(everything);
});
