import { assert, assertEquals, assertMatch } from "@std/assert";
import { connect, defineEvent, type Position } from "@tidings/broker";
import { createClient } from "redis";
import { type AuctionBroker, AuctionEnded, events, PaymentProcessed } from "../../examples/auction/events.ts";
import { startNotification } from "../../examples/auction/notification.ts";
import { startPayment } from "../../examples/auction/payment.ts";
import { Registration } from "../../examples/auction/registration.ts";
import { run } from "../examples/_example.ts";
import { RedisServer } from "../redis/_server.ts";
import { root } from "../structure/_imports.ts";

/** The redis-cli commands in README, as lists of arguments. */
function commands(): string[][] {
  const readme = Deno.readTextFileSync(new URL("README.md", root));
  const lines = readme.split("\n").filter((line) => line.startsWith("redis-cli "));
  const words = (line: string) => [...line.matchAll(/'([^']*)'|([^\s']+)/g)].map(([, quoted, bare]) => quoted ?? bare!);
  return lines.map((line) => words(line.replace(/ +# .*$/, "")).slice(1));
}

/** Replies of XRANGE: positions, each with a list of names and values in turn. */
async function range(server: RedisServer, stream: string): Promise<[Position, string[]][]> {
  return JSON.parse(await server.cli("--json", "XRANGE", stream, "-", "+"));
}

Deno.test("redis-cli shows the events of the demo, and only event streams have keys events:*", async (t) => {
  await using server = await RedisServer.start();
  const { code, stderr } = await run("run", [`--broker=redis://127.0.0.1:${server.port}`]);
  assertEquals([code, stderr], [0, ""]);

  const replies = new Map<string, string>();
  for (const command of commands()) {
    await t.step(`redis-cli ${command.join(" ")}`, async () => {
      const text = await server.cli(...command);
      assert(!/^\(?error|^(ERR|WRONGTYPE|NOGROUP)/.test(text), text);
      replies.set(command.slice(0, 2).join(" "), text);
    });
  }
  const streams = ["events:AuctionEnded", "events:BidderRegistered", "events:PaymentProcessed"];
  assertEquals(replies.get("KEYS events:*")?.split("\n").sort(), streams);
  assertEquals(replies.get("XLEN events:AuctionEnded"), "5");
  assertMatch(replies.get("XINFO STREAM")!, /^length\n5\n/);
  assertMatch(replies.get("XINFO GROUPS")!, /name\nnotification\n[^]*name\npayment\n[^]*lag\n0/);
  assertMatch(replies.get("XPENDING events:AuctionEnded")!, /^0$/m);
  for (const name of ["XRANGE", "XADD"]) assert([...replies.keys()].some((key) => key.startsWith(name)), name);

  const order = ["id", "payload", "version", "time", "source", "subject", "correlationid", "causationid"];
  for (const stream of streams) {
    for (const [position, fields] of await range(server, stream)) {
      const names = fields.filter((_, index) => index % 2 === 0);
      assertEquals(
        names,
        order.filter((name) => names.includes(name)),
        `${stream} ${position}: the fields have a fixed order`,
      );
      const { id, payload } = Object.fromEntries(names.map((name, index) => [name, fields[2 * index + 1]]));
      // A command of README added this entry.
      if (id === undefined) assertEquals(names, ["payload"]);
      else assertMatch(id, /^(payment-)?[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}$/);
      assertEquals(payload, JSON.stringify(JSON.parse(payload!)), "compact JSON");
    }
  }
});

Deno.test("the auction's services handle entries that redis-cli adds, with and without an id", async () => {
  await using server = await RedisServer.start();
  await using broker: AuctionBroker = await connect(server.url, { events });
  const mails = new Map<string, string>();
  const allMailed = Promise.withResolvers<void>();
  const registration = new Registration(broker, () => Promise.resolve("tok_1"));
  await registration.register({ bidderId: "ada", name: "Ada", cardNumber: "4242 4242 4242 4242" });
  await using _payment = await startPayment(broker, () => Promise.resolve("paid"));
  await using _notification = await startNotification(broker, (_bidder, text, { idempotencyKey }) => {
    mails.set(idempotencyKey, text);
    if (mails.size === 5) allMailed.resolve();
    return Promise.resolve();
  });

  const payload = (auctionId: string) => JSON.stringify({ auctionId, winningBidderId: "ada", winningPrice: 45 });
  const first = await server.cli("XADD", "events:AuctionEnded", "*", "payload", payload("lamp"));
  const id = crypto.randomUUID();
  await server.cli("XADD", "events:AuctionEnded", "*", "id", id, "payload", payload("map"));

  const paid = await Array.fromAsync(broker.history(PaymentProcessed, { follow: true, limit: 2 }));
  assertEquals(paid.map(({ detail }) => [detail.auctionId, detail.status]), [["lamp", "paid"], ["map", "paid"]]);
  const [lamp, map] = await Array.fromAsync(broker.history(AuctionEnded));
  assertEquals([lamp?.position, map?.id], [first as Position, id]);
  assert(lamp!.id.includes(first.split("-")[0]!), "an entry without id gets one made of its position");
  assertEquals(paid.map(({ causationId }) => causationId), [lamp!.id, id]);
  await allMailed.promise;
  assertEquals([mails.get(lamp!.id), mails.get(id)], ["You have won lamp", "You have won map"]);
});

Deno.test("a class with an upcast from 0 handles entries in the form of the Python ancestor", async () => {
  class Ended extends defineEvent("AuctionEnded", {
    upcast: {
      0: (old: { auction_id: string; winning_bidder_id: string; winning_price: number }) => ({
        auctionId: old.auction_id,
        winningBidderId: old.winning_bidder_id,
        winningPrice: old.winning_price,
      }),
    },
  })<{ auctionId: string; winningBidderId: string; winningPrice: number }> {}
  const vase = { auctionId: "vase", winningBidderId: "ada", winningPrice: 120.5 };

  await using server = await RedisServer.start();
  // Like the ancestor: makes the group together with the stream, and then adds an entry with other field names.
  await server.cli("XGROUP", "CREATE", "events:AuctionEnded", "default", "0", "MKSTREAM");
  const payload = `{"auction_id": "vase", "winning_bidder_id": "ada", "winning_price": 120.5}`;
  await server.cli("XADD", "events:AuctionEnded", "*", "event_type", "AuctionEnded", "payload", payload);

  await using broker = await connect(server.url, { events: [Ended] });
  await broker.publish(new Ended({ ...vase, auctionId: "clock" }));
  const got: [string, unknown][] = [];
  const both = Promise.withResolvers<void>();
  await using subscription = await broker.subscribe(Ended, (event) => {
    got.push([event.detail.auctionId, event.detail]);
    if (got.length === 2) both.resolve();
  }, { group: "default" });
  await both.promise;
  await subscription.close();
  assertEquals(got, [["vase", vase], ["clock", { ...vase, auctionId: "clock" }]]);
  const [group] = (await broker.info(Ended)).groups;
  assertEquals([group?.name, group?.pending, group?.lag, group?.deadLetters], ["default", 0, 0, 0]);
});

Deno.test("a plain XREADGROUP loop reads our events in its own group", async () => {
  await using server = await RedisServer.start();
  await using broker = await connect(server.url, { events: [AuctionEnded] });
  const published = [1, 2, 3].map((n) =>
    new AuctionEnded({ auctionId: `lot-${n}`, winningBidderId: "ada", winningPrice: n })
  );
  await broker.publish(published);

  const client = createClient({ url: server.url.href, RESP: 2 });
  await client.connect();
  try {
    const stream = "events:AuctionEnded";
    await client.sendCommand(["XGROUP", "CREATE", stream, "reports", "0"]);
    const read = ["XREADGROUP", "GROUP", "reports", "plain", "COUNT", "2", "STREAMS", stream, ">"];
    const got: [string, unknown][] = [];
    for (;;) {
      const reply = await client.sendCommand(read) as [string, [string, string[]][]][] | null;
      if (reply === null) break;
      for (const [position, [idName, id, payloadName, payload]] of reply[0]![1]) {
        assertEquals([idName, payloadName], ["id", "payload"]);
        got.push([id!, JSON.parse(payload!)]);
        await client.sendCommand(["XACK", stream, "reports", position]);
      }
    }
    assertEquals(got, published.map(({ id, detail }) => [id, detail]));
    const [group] = (await broker.info(AuctionEnded)).groups;
    assertEquals([group?.name, group?.pending, group?.lag], ["reports", 0, 0]);
  } finally {
    client.destroy();
  }
});
