// Guarantee 30: publishes whose connections are cut.

import { assert, assertEquals, assertRejects } from "@std/assert";
import { defineEvent, type EventBroker, UncertainPublishError } from "@tidings/broker";
import { until } from "../../../src/testing/_broker_bench.ts";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { KINDS, LABELS, openBroker, openConnection, SharedServer, type TestKeys } from "../_bench.ts";
import { insist } from "../../faults/_insist.ts";
import { type Fault, Proxy } from "../_proxy.ts";

class Sent extends defineEvent("Sent")<{ n: number }> {}

const server = new SharedServer();
const numbered = (from: number, count: number) => Array.from({ length: count }, (_, i) => new Sent({ n: from + i }));

/** A broker behind a proxy, and a way to read the stream on the server. */
class Behind implements AsyncDisposable {
  readonly keys: TestKeys;
  readonly proxy: Proxy;
  readonly broker: EventBroker<typeof Sent>;

  private constructor(keys: TestKeys, proxy: Proxy, broker: EventBroker<typeof Sent>) {
    this.keys = keys;
    this.proxy = proxy;
    this.broker = broker;
  }

  static async open(kind: ClientKind, publishTimeout: number): Promise<Behind> {
    const keys = server.keys();
    const proxy = new Proxy(Number(keys.url.port || 6379), keys.url.hostname);
    const url = new URL(keys.url);
    url.host = proxy.url.host;
    const broker = await openBroker(url, { events: [Sent], prefix: keys.prefix, publishTimeout }, kind);
    return new Behind(keys, proxy, broker);
  }

  get stream(): string {
    return `${this.keys.prefix}:Sent`;
  }

  /** The number and position of each stored event. */
  async stored(): Promise<[number, string][]> {
    const connection = await openConnection(this.keys.url);
    try {
      const entries = await connection.send(["XRANGE", this.stream, "-", "+"]) as readonly [string, string[]][];
      return entries.map(([position, fields]) => [JSON.parse(fields[fields.indexOf("payload") + 1]!).n, position]);
    } finally {
      connection.close();
    }
  }

  /** Has the server forget the publisher's batch numbers. */
  async forget(): Promise<void> {
    const connection = await openConnection(this.keys.url);
    try {
      const keys = await connection.send(["KEYS", `{${this.stream}}:producer:*`]) as readonly string[];
      assertEquals(keys.length, 1);
      await connection.send(["DEL", ...keys]);
    } finally {
      connection.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.broker[Symbol.asyncDispose]();
    await this.proxy[Symbol.asyncDispose]();
    await this.keys[Symbol.asyncDispose]();
  }
}

const FAULTS: Readonly<Record<string, Fault>> = {
  "after the server has run it": "reply",
  "in the middle of it": "half",
};

for (const kind of KINDS) {
  const name = `publish() by ${LABELS[kind]}`;

  for (const [when, fault] of Object.entries(FAULTS)) {
    for (const [title, together, rounds] of [["a lone batch", 20, 40], ["one of five batches", 625, 12]] as const) {
      Deno.test(`${name} doubles and reorders nothing when ${title} is cut ${when}`, async () => {
        await using behind = await Behind.open(kind, 60_000);
        const { broker, proxy } = behind;
        await broker.publish(new Sent({ n: -1 }));
        const positions: string[] = [];
        for (let round = 0; round < rounds; round++) {
          // The fault may hit any batch: a client writes several at once, or one in parts.
          if (round % 4 === 1) proxy.inject({ fault, request: /EVALSHA/ });
          const events = numbered(round * together, together);
          positions.push(...await Promise.all(events.map((event) => broker.publish(event))));
        }
        assertEquals(proxy.faults, rounds / 4);
        const stored = (await behind.stored()).slice(1);
        assertEquals(stored.map(([n]) => n), Array.from({ length: together * rounds }, (_, n) => n));
        assertEquals(stored.map(([, position]) => position), positions);
      });
    }

    Deno.test(`${name} is uncertain when it is cut ${when} and the server stays unreachable, and resolves later`, async () => {
      await using behind = await Behind.open(kind, 300);
      const { broker, proxy } = behind;
      await broker.publish(new Sent({ n: 0 }));
      proxy.inject({ fault, request: /EVALSHA/ });
      proxy.refuse = true;
      const event = new Sent({ n: 1 });
      const error = await assertRejects(() => broker.publish(event), UncertainPublishError);
      assert(error.message.includes("publish the same object again"), error.message);
      await assertRejects(() => broker.publish(event), UncertainPublishError);
      assertEquals((await behind.stored()).length, fault === "reply" ? 2 : 1);
      proxy.refuse = false;
      const position = await insist(() => broker.publish(event));
      const next = await broker.publish(new Sent({ n: 2 }));
      assertEquals(await broker.publish(event), position);
      assertEquals((await behind.stored()).slice(1), [[1, position], [2, next]]);
    });
  }

  Deno.test(`${name} stays uncertain when the server has forgotten the publisher meanwhile, and later publishes work`, async () => {
    await using behind = await Behind.open(kind, 5_000);
    const { broker, proxy } = behind;
    await broker.publish(new Sent({ n: 0 }));
    proxy.inject({ fault: "reply", request: /EVALSHA/ });
    proxy.refuse = true;
    const event = new Sent({ n: 1 });
    const publishing = assertRejects(() => broker.publish(event), UncertainPublishError);
    await until(() => proxy.faults > 0 && proxy.open === 0, "the connection is cut");
    await behind.forget();
    proxy.refuse = false;
    await publishing;
    assertEquals((await behind.stored()).map(([n]) => n), [0, 1]);
    const next = await broker.publish(new Sent({ n: 2 }));
    assertEquals((await behind.stored()).at(-1), [2, next]);
    await behind.forget();
    await Promise.all(numbered(3, 400).map((event) => broker.publish(event)));
    assertEquals((await behind.stored()).map(([n]) => n), Array.from({ length: 403 }, (_, n) => n));
  });
}
