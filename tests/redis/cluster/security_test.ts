// Guarantee 34: a cluster with TLS, host names and a user.

import { assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { defineEvent, RedisBroker, type RedisOptions } from "@tidings/broker";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS } from "../_bench.ts";
import { Authority } from "../_certificates.ts";
import { eventually, RedisCluster } from "../_cluster.ts";
import { freePort } from "../_free_port.ts";

class Opened extends defineEvent("Opened")<{ n: number }> {}
class Paid extends defineEvent("Paid")<{ n: number }> {}
class Closed extends defineEvent("Closed")<{ n: number }> {}
const events = [Opened, Paid, Closed];

const USER = ["--user", "app", "on", ">secret/@:", "~*", "&*", "+@all"];
const NAMES = ["--cluster-announce-hostname", "localhost", "--cluster-preferred-endpoint-type", "hostname"];

let authority: Authority;
let cluster: RedisCluster;
const ports: number[] = [];
Deno.test.beforeAll(async () => {
  authority = await Authority.make();
  await authority.sign("DNS:localhost");
  const args = () => {
    ports.push(freePort());
    // Redis 7.0 announces its TLS port only if its nodes use TLS among themselves.
    return [...authority.serverArgs(ports.at(-1)!), "--tls-cluster", "yes", ...NAMES, ...USER];
  };
  cluster = await RedisCluster.start({ args });
});
Deno.test.afterAll(async () => {
  await cluster[Symbol.asyncDispose]();
  await authority[Symbol.asyncDispose]();
});

const open = (kind: ClientKind, redis: RedisOptions) =>
  RedisBroker.connect(`rediss+cluster://localhost:${ports[0]}`, { client: kind, events, redis });

/** The users of the connections to all nodes, except those of redis-cli. */
async function users(): Promise<Set<string>> {
  const lists = await Promise.all(cluster.masters.map((master) => master.cli("CLIENT", "LIST")));
  const others = lists.join("\n").split("\n").filter((line) => line !== "" && !line.includes("cmd=client|list"));
  return new Set(others.map((line) => /user=(\S+)/.exec(line)![1]!));
}

for (const kind of KINDS) {
  Deno.test(`RedisBroker by ${LABELS[kind]} reaches all nodes by TLS, host name and user when the URL is rediss+cluster://`, async () => {
    const tls = { ca: authority.ca };
    await using broker = await open(kind, { username: "app", password: "secret/@:", tls });
    const handled: number[] = [];
    await broker.subscribe(events, ({ detail }) => void handled.push(detail.n), { group: `shop-${kind}` });
    await broker.publish([new Opened({ n: 1 }), new Paid({ n: 2 }), new Closed({ n: 3 })]);
    await until(() => handled.length >= 3, "all events are handled");
    // A connection that was refused before may still be open.
    await eventually(async () => [...await users()].join() === "app");
  });

  Deno.test(`RedisBroker by ${LABELS[kind]} does not show the password when a cluster refuses it`, async () => {
    const tls = { ca: authority.ca };
    const { message } = await assertRejects(() => open(kind, { username: "app", password: "hunter2", tls }), Error);
    assertStringIncludes(message, "password");
    assertEquals(message.includes("hunter2"), false);
  });
}
