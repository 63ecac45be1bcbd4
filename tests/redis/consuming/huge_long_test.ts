// Guarantees 1, 23: an entry of hundreds of megabytes becomes a dead letter, and no consumer dies of it.

import { assert, assertEquals, assertLess, assertStringIncludes } from "@std/assert";
import { type DeadLetterEvent, defineEvent } from "@tidings/broker";
import { lettersOf, settled, told, until } from "../../../src/testing/_broker_bench.ts";
import { KINDS, LABELS, openBroker } from "../_bench.ts";
import { RedisServer } from "../_server.ts";

class Scan extends defineEvent("Scan")<{ page: string }> {}

/** Adds an entry with a payload of this many megabytes, as another program might. */
async function addHuge(server: RedisServer, megabytes: number): Promise<void> {
  using connection = await Deno.connect({ hostname: "127.0.0.1", port: server.port });
  const encode = (text: string) => new TextEncoder().encode(text);
  const chunk = encode("x".repeat(2 ** 20));
  const write = async (bytes: Uint8Array) => {
    for (let at = 0; at < bytes.length;) at += await connection.write(bytes.subarray(at));
  };
  const size = megabytes * 2 ** 20 + 11;
  await write(encode(`*5\r\n$4\r\nXADD\r\n$11\r\nevents:Scan\r\n$1\r\n*\r\n$7\r\npayload\r\n$${size}\r\n{"page":"`));
  for (let nth = 0; nth < megabytes; nth++) await write(chunk);
  await write(encode(`"}\r\n`));
  await connection.read(new Uint8Array(64));
}

for (const kind of KINDS) {
  for (const megabytes of [100, 200, 400]) {
    Deno.test(`subscribe() by ${LABELS[kind]} makes an entry of ${megabytes} MB a dead letter, and handles the others`, async () => {
      await using server = await RedisServer.start();
      await using broker = await openBroker(server.url, { events: [Scan] }, kind);
      await broker.publish(new Scan({ page: "before" }));
      await addHuge(server, megabytes);
      await broker.publish(new Scan({ page: "after" }));
      const pages: string[] = [];
      const subscription = await broker.subscribe(Scan, ({ detail }) => void pages.push(detail.page), {
        group: "group",
      });
      const dead = told<DeadLetterEvent>(subscription, "deadletter");
      await until(() => dead.length > 0 && pages.length > 1, "all entries are handled", 120_000);
      await settled(broker, Scan);
      assertEquals(pages, ["before", "after"]);
      const [letter] = await lettersOf(broker, Scan);
      assert(letter);
      assertEquals(letter.reason, "undecodable");
      assertStringIncludes(letter.error.message, "are read");
      assertLess(JSON.stringify(letter.raw).length, 1_000);
    });
  }
}
