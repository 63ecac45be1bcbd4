import { assert, assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { connect, defineEvent } from "@tidings/broker";
import { nodeText, parseTarget } from "../../../src/redis/connection/_address.ts";
import { freePort } from "../_free_port.ts";

class Sold extends defineEvent("Sold")<{ n: number }> {}

const DEFAULT_SESSION = { tls: undefined, username: undefined, password: undefined, db: 0 };

/** The parts of a URL: kind, nodes, name, and the parts of the session that differ from the defaults. */
function read(url: string): unknown[] {
  const { kind, nodes, name, session } = parseTarget(url);
  const unusual = Object.entries(session).filter(([key, value]) => value !== DEFAULT_SESSION[key as "db"]);
  return [kind, nodes.map(nodeText).join(" "), name, Object.fromEntries(unusual)];
}

const GOOD: Record<string, unknown[]> = {
  "redis://h": ["single", "h:6379", undefined, {}],
  "redis://h/": ["single", "h:6379", undefined, {}],
  "redis://h:1/0": ["single", "h:1", undefined, {}],
  "redis://h:65535/15": ["single", "h:65535", undefined, { db: 15 }],
  "rediss://redis.example:6380": ["single", "redis.example:6380", undefined, { tls: {} }],
  "redis://127.0.0.1:6380": ["single", "127.0.0.1:6380", undefined, {}],
  "redis://[::1]": ["single", "[::1]:6379", undefined, {}],
  "redis://[::1]:7000/2": ["single", "[::1]:7000", undefined, { db: 2 }],
  "redis://[2001:db8::192.0.2.1]:7000": ["single", "[2001:db8::192.0.2.1]:7000", undefined, {}],
  "redis://:secret@h": ["single", "h:6379", undefined, { password: "secret" }],
  // A user without a password logs in too.
  "redis://alice@h": ["single", "h:6379", undefined, { username: "alice", password: "" }],
  "redis://alice:@h": ["single", "h:6379", undefined, { username: "alice", password: "" }],
  "redis://@h": ["single", "h:6379", undefined, {}],
  "redis://alice:a:b@h": ["single", "h:6379", undefined, { username: "alice", password: "a:b" }],
  "redis://al%40ice:%2F%3A%25%3F%23%20%C3%A9@h": ["single", "h:6379", undefined, {
    username: "al@ice",
    password: "/:%?# é",
  }],
  "redis+cluster://a,b:7001,[::1]:7002": ["cluster", "a:6379 b:7001 [::1]:7002", undefined, {}],
  "redis+cluster://a": ["cluster", "a:6379", undefined, {}],
  "redis+cluster://a/0": ["cluster", "a:6379", undefined, {}],
  "redis+cluster://a,b/1": ["cluster", "a:6379 b:6379", undefined, { db: 1 }],
  "redis-cluster://a,b": ["cluster", "a:6379 b:6379", undefined, {}],
  "rediss+cluster://u:p@a,b": ["cluster", "a:6379 b:6379", undefined, { tls: {}, username: "u", password: "p" }],
  "redis+sentinel://a,b:1/mymaster": ["sentinel", "a:26379 b:1", "mymaster", {}],
  "redis-sentinel://a/mymaster/": ["sentinel", "a:26379", "mymaster", {}],
  "rediss-sentinel://u:p@[::1]/my%20master/3": ["sentinel", "[::1]:26379", "my master", {
    tls: {},
    username: "u",
    password: "p",
    db: 3,
  }],
};

const FORM = 'give one such as "redis://127.0.0.1:6379"';
const HOST = "a host or port in it is malformed; give one such as";
const SIGN = 'write "@" as "%40", "/" as "%2F", "?" as "%3F" and "#" as "%23", or give redis.username';
const SEVERAL = "several hosts are for redis+cluster:// or redis+sentinel://; give one such as";
const NAMELESS = "the name of the master is missing; give one such as";

const BAD: Record<string, string> = {
  "": FORM,
  "redis": FORM,
  "redis:h": FORM,
  "redis://": FORM,
  "redis:///1": FORM,
  "http://h": FORM,
  "redis+mirror://h": FORM,
  "redis://h?db=1": FORM,
  "redis://h#1": FORM,
  "redis://h/1/2": FORM,
  "redis+cluster://h/0/1": FORM,
  "redis+sentinel://h/mymaster/0/1": FORM,
  "redis://:6379": HOST,
  "redis://h:": HOST,
  "redis://h:0": HOST,
  "redis://h:65536": HOST,
  "redis://h:port": HOST,
  "redis://h:1:2": HOST,
  "redis://::1": HOST,
  "redis://[::1": HOST,
  "redis://[::1]]": HOST,
  "redis://[h]": HOST,
  "redis://h h": HOST,
  "redis://h%41": HOST,
  "redis+cluster://a,,b": HOST,
  "redis+cluster://a,": HOST,
  "redis://a,b": SEVERAL,
  "rediss://u:p@a:1,b:2/0": SEVERAL,
  "redis+sentinel://a,b": NAMELESS,
  "redis+sentinel://a,b/": NAMELESS,
  "redis-sentinel://a//0": NAMELESS,
  "redis://h/events": 'Cannot connect to database "events": give its number, as in redis://host:6379/1',
  "redis://h/-1": 'database "-1"',
  "redis+sentinel://h/mymaster/x": 'database "x"',
  "redis://u:100%@h": 'it has a "%" that begins no valid escape sequence; write it as "%25"',
  "redis+sentinel://h/%": 'it has a "%" that begins no valid escape sequence',
  "redis://u:se@same@h": SIGN,
  "redis://u:se/same@h": SIGN,
  "redis://u:6379/sesame@h": SIGN,
  "redis://u:se?same@h": SIGN,
  "redis://u:se#same@h": SIGN,
  "redis+sentinel://u:se/same@h/mymaster": SIGN,
};

Deno.test("parseTarget() reads every form of a URL", () => {
  for (const [url, expected] of Object.entries(GOOD)) assertEquals(read(url), expected, url);
});

Deno.test("parseTarget() says what is wrong, and shows no secret, when a URL has another form", () => {
  for (const [url, message] of Object.entries(BAD)) {
    const error = assertThrows(() => parseTarget(url), TypeError, undefined, url);
    assert(error.message.startsWith("Cannot connect to "), error.message);
    assertStringIncludes(error.message, message, url);
    assert(!/same|100%/.test(error.message), error.message);
  }
});

Deno.test("connect() names the unreachable servers for each scheme, and refuses other schemes", async () => {
  const [port, other] = [freePort(), freePort()];
  const tried: Record<string, string> = {
    [`redis://u:sesame@127.0.0.1:${port}/3`]: `redis://127.0.0.1:${port}/3`,
    [`redis+cluster://127.0.0.1:${port},127.0.0.1:${other}`]: `redis+cluster://127.0.0.1:${port},127.0.0.1:${other}`,
    [`redis-cluster://127.0.0.1:${port}`]: `redis+cluster://127.0.0.1:${port}`,
    [`redis-sentinel://127.0.0.1:${port}/mymaster`]: `the Sentinel 127.0.0.1:${port}`,
    [`rediss-sentinel://127.0.0.1:${port}/mymaster/2`]: `the Sentinel 127.0.0.1:${port}`,
  };
  for (const [url, where] of Object.entries(tried)) {
    const { message } = await assertRejects(() => connect(url, { events: [Sold] }), Error);
    assertStringIncludes(message, `Cannot connect to ${where}: `);
    assertStringIncludes(message, "nothing listens there");
  }
  for (const url of ["redis+mirror://h", "redis_cluster://h", "memory-cluster://h", "valkey://h"]) {
    await assertRejects(() => connect(url, { events: [Sold] }), TypeError, "give a URL that begins with");
  }
});
