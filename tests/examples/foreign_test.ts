import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { type AuctionBroker, events } from "../../examples/auction/events.ts";
import { connect } from "@tidings/broker";
import { RedisServer } from "../redis/_server.ts";
import { run } from "./_example.ts";
import { publishForeign } from "./_foreign.ts";

/** The reasons of all dead letters, by group and type. */
async function deadLetters(broker: AuctionBroker): Promise<Record<string, string[]>> {
  const found: Record<string, string[]> = {};
  for (const event of events) {
    for (const { name: group } of (await broker.info(event)).groups) {
      const letters = await Array.fromAsync(broker.deadLetters(event, { group }), ({ reason }) => reason);
      if (letters.length > 0) found[`${group} ${event.type}`] = letters;
    }
  }
  return found;
}

for (const first of ["run", "crash"]) {
  Deno.test(`${first} and then the demo work on a store with events of another program`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      const url = `sqlite:${directory}/auction.db`;
      await publishForeign(url);
      for (const name of [first, "run", "persistence", "replay", "crash"]) {
        const { code, stdout, stderr } = await run(name, [`--broker=${url}`], directory, directory);
        assertEquals([code, stderr], [0, ""], name);
        assert(!/undefined|NaN|\[object/.test(stdout), `${name} prints a missing value:\n${stdout}`);
        if (name !== "replay") continue;
        assertMatch(
          stdout,
          /another program's event: its winningBidderId is missing, not a string \(fields found: [^)]+\)/,
        );
        assertStringIncludes(stdout, "both ledgers are the same");
      }
      await using broker = await connect(url, { events });
      const runs = first === "run" ? 2 : 1;
      assertEquals(await deadLetters(broker), {
        "notification AuctionEnded": ["permanent"],
        "payment AuctionEnded": Array(1 + runs).fill("permanent"),
        "notification BidderRegistered": ["permanent"],
        "notification PaymentProcessed": ["permanent"],
      });
    } finally {
      await Deno.remove(directory, { recursive: true });
    }
  });
}

Deno.test("run works on a store with entries that cannot be decoded", async () => {
  await using server = await RedisServer.start();
  for (const { type } of events) await server.cli("XADD", `events:${type}`, "*", "payload", "no JSON");
  const { code, stdout, stderr } = await run("run", [`--broker=${server.url}`]);
  assertEquals([code, stderr], [0, ""]);
  assertMatch(stdout, /Cannot decode AuctionEnded at \d+-\d+: /);
  await using broker = await connect(server.url, { events });
  assertEquals((await deadLetters(broker))["payment AuctionEnded"], ["undecodable", "permanent"]);
});
