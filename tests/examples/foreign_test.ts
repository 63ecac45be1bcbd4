import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { connect } from "@tidings/broker";
import { type AuctionBroker, AuctionEnded, BidderRegistered, events } from "../../examples/auction/events.ts";
import { RedisServer } from "../redis/_server.ts";
import { flat, run } from "./_example.ts";
import { publishForeign } from "./_foreign.ts";

/** Publishes ten auctions that no service has handled yet. */
async function publishAuctions(url: string): Promise<void> {
  await using broker: AuctionBroker = await connect(url, { events });
  await broker.publish(new BidderRegistered({ bidderId: "dora", name: "Dora", cardToken: "tok_dora" }));
  const lots = Array.from({ length: 10 }, (_, index) => `lot-${index}`);
  await broker.publish(
    lots.map((auctionId) => new AuctionEnded({ auctionId, winningBidderId: "dora", winningPrice: 5 })),
  );
}

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
  Deno.test(`${first} and then the demo work on a store with unhandled events, also of another program`, async () => {
    const directory = await Deno.makeTempDir({ prefix: "tidings-" });
    try {
      const url = `sqlite:${directory}/auction.db`;
      await publishForeign(url);
      await publishAuctions(url);
      for (const name of [first, "run", "persistence", "replay", "crash"]) {
        const { code, stdout, stderr } = await run(name, [`--broker=${url}`], directory, directory);
        assertEquals([code, stderr], [0, ""], name);
        assert(!/undefined|NaN|\[object/.test(stdout), `${name} prints a missing value:\n${stdout}`);
        if (name === "crash") assertStringIncludes(stdout, "Each auction was paid once.");
        if (name !== "replay") continue;
        assertMatch(
          flat(stdout),
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
  assertMatch(flat(stdout), /Cannot decode AuctionEnded at \d+-\d+: /);
  await using broker = await connect(server.url, { events });
  assertEquals((await deadLetters(broker))["payment AuctionEnded"], ["undecodable", "permanent"]);
});
