import { assert, assertEquals, assertInstanceOf, assertMatch, assertRejects } from "@std/assert";
import { classify, connectError } from "../../../src/redis/connection/_errors.ts";
import { isNoGroup, isNoKey, isNoScript, isUnblocked, ReplyError } from "../../../src/redis/connection/_reply_error.ts";
import { withDeadline } from "../../../src/redis/connection/_connection.ts";
import type { RedisConnection } from "../../../src/redis/connection/client.ts";
import { StoreError } from "../../../src/store/mod.ts";

// Error replies of several server versions, collected by causing each of them.
const TRANSIENT: Record<string, RegExp> = {
  "LOADING Redis is loading the dataset in memory": /wait until it has finished/,
  "READONLY You can't write against a read only replica.": /promote it/,
  "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.": /make room there/,
  "OOM command not allowed when used memory > 'maxmemory'. script: 5b1ce6a5, on @user_script:1.": /raise maxmemory/,
  "ERR Error running script (call to f_5b1ce6a5): @user_script:1: @user_script: 1: -OOM command not allowed when used memory":
    /raise maxmemory/,
  "BUSY Redis is busy running a script.": /SCRIPT KILL/,
  "TRYAGAIN Multiple keys request during rehashing of slot": /moving slots or failing over/,
  "CLUSTERDOWN The cluster is down": /moving slots or failing over/,
  "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.":
    /restore the connection to its master/,
  "NOREPLICAS Not enough good replicas to write.": /lower min-replicas-to-write/,
  "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)":
    /ended a blocked read/,
  "MOVED 866 127.0.0.1:7001": /moving slots or failing over/,
  "ERR max number of clients reached": /raise maxclients/,
};

const FINAL: Record<string, RegExp> = {
  "WRONGPASS invalid username-password pair or user is disabled.": /wrong user or password/,
  "NOAUTH Authentication required.": /it wants a password/,
  "NOPERM this user has no permissions to run the 'xadd' command": /ACL SETUSER/,
  "NOPERM User alice has no permissions to run the 'xadd' command": /ACL SETUSER/,
  "ERR ACL failure in script: User alice has no permissions to run the 'xadd' command script: 5b1ce6a5, on @user_script:1.":
    /ACL SETUSER/,
  "ERR ACL failure in script: No permissions to access a key script: 5b1ce6a5, on @user_script:1.": /ACL SETUSER/,
  "ERR The user executing the script can't access at least one of the keys mentioned in the command": /ACL SETUSER/,
  "WRONGTYPE Operation against a key holding the wrong kind of value": /another type/,
  "ERR unknown command 'SENTINEL', with args beginning with: 'GET-MASTER-ADDR-BY-NAME'": /it is no Sentinel/,
  "ERR unknown command 'XADD', with args beginning with: ": /Redis 7.0 or Valkey 7.2/,
};

Deno.test("classify() returns a transient error when the command may succeed later", () => {
  for (const [message, advice] of Object.entries(TRANSIENT)) {
    for (const error of [new ReplyError(message), new ReplyError(`-${message}`)]) {
      const classed = classify(error);
      assertInstanceOf(classed, StoreError, message);
      assertEquals([classed.kind, classed.cause], ["transient", error]);
      const connecting = connectError("Redis", error);
      assertInstanceOf(connecting, StoreError);
      assert(advice.test(classed.message) && advice.test(connecting.message), classed.message);
    }
  }
});

Deno.test("classify() returns a permanent error with a way out when the command will never succeed", () => {
  for (const [message, advice] of Object.entries(FINAL)) {
    const classed = classify(new ReplyError(message));
    assertEquals(classed instanceof StoreError, false, message);
    const connecting = connectError("Redis", new ReplyError(message));
    for (const error of [classed, connecting]) {
      assert(advice.test(error.message), error.message);
      // Newer servers name the user.
      assert(!Deno.inspect(error).includes("alice"), error.message);
    }
  }
  for (const message of ["BUSYGROUP Consumer Group name already exists", "ERR something else", "FORGOTTEN batch 3"]) {
    const reply = new ReplyError(message);
    assertEquals(classify(reply), reply);
  }
});

Deno.test("classify() returns an uncertain error when the server did not reply", () => {
  for (const message of ["Socket closed unexpectedly", "Connection is closed.", "read ECONNRESET", ""]) {
    const classed = classify(new Error(message));
    assertInstanceOf(classed, StoreError);
    assertEquals(classed.kind, "uncertain");
    assertEquals(classify(classed), classed);
  }
  const aborted = new DOMException("enough", "AbortError");
  assertEquals(classify(aborted), aborted);
});

Deno.test("classify() treats a TypeError of the client as a lost connection", () => {
  // The error of node-redis when a full server sends an error before any command.
  const slip = new TypeError("Cannot read properties of undefined (reading 'reject')");
  const [classed, connecting] = [classify(slip), connectError("Redis", slip)];
  assertInstanceOf(classed, StoreError);
  assertInstanceOf(connecting, StoreError);
  assertEquals([classed.kind, connecting.kind], ["uncertain", "transient"]);
  assert(/raise maxclients$/.test(connecting.message), connecting.message);
  const ours = new TypeError(`Cannot connect to a Redis by "http:": use redis:// or rediss://`);
  assertEquals([classify(ours), connectError("Redis", ours)], [ours, ours]);
});

Deno.test("isNoGroup() and similar functions recognize an error reply also after classify()", () => {
  const gone = new ReplyError("UNBLOCKED the stream key no longer exists");
  assert(isNoGroup(gone) && isNoGroup(classify(gone)));
  assert(isNoGroup(new ReplyError("-NOGROUP No such key 's' or consumer group 'g' in XREADGROUP with GROUP option")));
  assert(isUnblocked(classify(new ReplyError("UNBLOCKED client unblocked via CLIENT UNBLOCK"))));
  assertEquals(isNoGroup(new ReplyError("UNBLOCKED client unblocked via CLIENT UNBLOCK")), false);
  assert(isNoScript(new ReplyError("NOSCRIPT No matching script. Please use EVAL.")));
  assert(isNoKey(new ReplyError("ERR no such key")));
  assertEquals(isNoScript(new Error("NOSCRIPT")), false);
});

Deno.test("connectError() shows no credentials", () => {
  const url = new URL("rediss://user:sesame@host:6380/2?password=sesame");
  const { message } = connectError(url, new Error("connect ECONNREFUSED"));
  assertEquals(message.slice(0, 41), "Cannot connect to rediss://host:6380/2: n");
  assertEquals(message.includes("sesame"), false);
});

Deno.test("classify() and connectError() add a message when an error has none", () => {
  class UnexpectedEof extends Error {
    override name = "UnexpectedEof";
  }
  for (const error of [classify(new UnexpectedEof()), connectError("127.0.0.1:6379", new UnexpectedEof())]) {
    assertMatch(error.message, /closed the connection/);
    assertEquals((error.cause as Error).message, "The server closed the connection");
  }
});

Deno.test("connectError() says the way out when a name cannot be resolved", () => {
  const errorOf = (message: string) => connectError("redis://no-such-host:6379", new Error(message)).message;
  const cannot = "Cannot connect to redis://no-such-host:6379: ";
  assertEquals(errorOf("getaddrinfo ENOTFOUND no-such-host"), `${cannot}its name cannot be resolved; check it`);
  assertMatch(errorOf("getaddrinfo EPERM no-such-host"), /: Deno needs --allow-net to connect/);
});

Deno.test("connectError() shows the parts of an AggregateError when it has no message", () => {
  const parts = ["connect EHOSTUNREACH ::1:6379", "connect EHOSTUNREACH 127.0.0.1:6379"].map((text) => new Error(text));
  const { message, cause } = connectError("redis://localhost:6379", new AggregateError(parts, ""));
  assertMatch(message, /EHOSTUNREACH ::1:6379; connect EHOSTUNREACH 127\.0\.0\.1:6379/);
  assertMatch((cause as Error).message, /^connect EHOSTUNREACH/);
});

Deno.test("withDeadline() adds an address and a cause with a message when a connection is lost", async () => {
  class EofError extends Error {}
  const lost: RedisConnection = {
    send: () => Promise.reject(new EofError()),
    open: () => Promise.reject(new EofError()),
    close: () => {},
  };
  const connection = withDeadline(lost, { address: "redis://127.0.0.1:6379" });
  const error = await assertRejects(() => connection.send(["PING"]), StoreError);
  assertEquals(
    error.message,
    "Cannot tell whether redis://127.0.0.1:6379 ran the command: the server closed the connection before the reply came",
  );
  assertEquals((error.cause as Error).message, "The server closed the connection");
});
