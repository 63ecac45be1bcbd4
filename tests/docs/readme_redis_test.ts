import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { connect, defineEvent, type EventBroker, PermanentError } from "@tidings/broker";
import { groupKeys, marksKey, producerKey, subjectsKey } from "../../src/redis/_keys.ts";
import { RedisCluster } from "../redis/_cluster.ts";
import { freePort } from "../redis/_free_port.ts";
import { RedisServer } from "../redis/_server.ts";
import { modulesIn, pathOf } from "../structure/_imports.ts";
import { difference, fencesOf, readPage, words, writeFiles } from "./_markdown.ts";
import { projectFlags } from "./_run_page.ts";

const PAGE = "docs/README_REDIS.md";
const page = readPage(PAGE);

class AuctionEnded extends defineEvent("AuctionEnded")<{ auctionId: string; price: number }> {}
const events = [AuctionEnded];

/** Publishes three events: one is paid, one waits for its second attempt, one becomes a dead letter. */
async function story(url: URL): Promise<EventBroker<typeof AuctionEnded>> {
  const broker = await connect(url, { events });
  const gaveUp = Promise.withResolvers<void>();
  const subscription = await broker.subscribe(AuctionEnded, ({ detail }) => {
    if (detail.price < 0) throw new PermanentError("nobody can pay that");
    if (detail.price > 100) throw new Error("the bank does not answer");
  }, { group: "payments", consumer: "till", retry: { minTimeout: 60_000, jitter: 0 } });
  subscription.addEventListener("deadletter", () => gaveUp.resolve());
  await broker.publish([10, 120, -1].map((price, nth) => new AuctionEnded({ auctionId: `a-${nth + 1}`, price })));
  await gaveUp.promise;
  while ((await broker.info(AuctionEnded)).groups[0]!.pending > 1) await new Promise((done) => setTimeout(done, 10));
  return broker;
}

/** The first cells of the rows of all tables on the page. */
function rows(): string[] {
  return page.split("\n").filter((line) => /^\| (?!---)/.test(line)).map((line) => line.split("|")[1]!.trim());
}

/** The symptoms that the page explains: what is bold at the beginning of a list item. */
function symptoms(): string[] {
  const items = page.split("\n").flatMap((line) => /^- (\*\*.+?)(?:: |$)/.exec(line)?.[1] ?? []);
  return items.flatMap((item) => [...item.matchAll(/\*\*(.+?)\*\*/g)].map(([, text]) => text!));
}

Deno.test("docs/README_REDIS.md: redis-cli prints what the page shows, and every key is in a table", async (test) => {
  await using server = await RedisServer.start();
  await using _broker = await story(server.url);
  const keys = (await server.cli("KEYS", "*")).split("\n");

  await test.step("every key is in the table, and has its type", async () => {
    for (const key of keys) {
      const name = key.replace("AuctionEnded", "<Type>").replace(/:payments$/, ":<group>").replace(
        /:producer:.*/,
        ":producer:<id>",
      );
      const row = page.split("\n").find((line) => line.startsWith(`| \`${name}\``));
      assert(row !== undefined, `${name} is not in the table`);
      const type = { zset: "sorted set" }[await server.cli("TYPE", key)] ?? await server.cli("TYPE", key);
      assertEquals(row.split("|")[2]!.trim(), type, name);
    }
  });

  let printed = "";
  for (const fence of fencesOf(page)) {
    if (fence.language === "sh") {
      printed = "";
      // Commands that change something would change the output of the others, and some are for a cluster.
      for (const line of fence.text.split("\n").filter((line) => !/ (XADD|ACL|CLUSTER) /.test(line))) {
        await test.step(line, async () => {
          const [program, ...args] = words(line);
          assertEquals(program, "redis-cli");
          printed += await server.cli(...args) + "\n";
        });
      }
    } else if (fence.language === "text") {
      const wrong = difference(fence, printed.replaceAll(/\ninactive\n.*/g, ""));
      if (wrong !== undefined) throw new Error(`${PAGE}:${fence.line}: ${wrong}`);
    }
  }
});

Deno.test("docs/README_REDIS.md: every key and script of the store is named, and no other script", () => {
  const all = [
    ...Object.values(groupKeys("events:<Type>", "<group>")),
    producerKey("events:<Type>", "<id>"),
    subjectsKey("events:<Type>"),
    marksKey("events:<Type>"),
  ];
  for (const key of all) assert(rows().includes(`\`${key}\``), `${key} is not in a table`);

  const scripts = [...modulesIn("src/redis/scripts")].map(pathOf).filter((path) => !path.includes("/_")).sort();
  const named = [...page.matchAll(/\]\(\.\.\/(src\/redis\/scripts\/\w+\/\w+\.ts)\)/g)].map(([, path]) => path!).sort();
  assertEquals(named, scripts);
});

Deno.test("docs/README_REDIS.md: one user with the rules on the page can do everything", async () => {
  await using server = await RedisServer.start();
  const line = page.split("\n").find((line) => line.includes("ACL SETUSER tidings"))!;
  assertEquals(await server.cli(...words(line).slice(1)), "OK");
  const url = new URL(server.url);
  [url.username, url.password] = ["tidings", "secret"];
  await using broker = await story(url);
  // Deleting the group ends the subscription with an error.
  broker.addEventListener("error", () => {});
  const heard = Promise.withResolvers<void>();
  broker.addEventListener("AuctionEnded", () => heard.resolve());
  await broker.publish(new AuctionEnded({ auctionId: "a-4", price: 1 }));
  await heard.promise;
  assertEquals((await Array.fromAsync(broker.history(AuctionEnded, { reverse: true }))).length, 4);
  assertEquals(await broker.redrive(AuctionEnded, { group: "payments" }), 1);
  await broker.rewind(AuctionEnded, { group: "payments", to: "now" });
  await broker.deleteGroup(AuctionEnded, { group: "payments", force: true });
});

Deno.test("docs/README_REDIS.md: its programs run", async () => {
  await using server = await RedisServer.start();
  await using cluster = await RedisCluster.start({ masters: 1 });
  // One of the two cluster nodes on the page is down here.
  const ports: [string, number][] = [["6379", server.port], ["7000", cluster.masters[0]!.port], ["7001", freePort()]];
  const directory = await Deno.makeTempDir({ prefix: "tidings-redis-" });
  try {
    for (const { language, info, text, line } of fencesOf(page)) {
      // tests/redis/connection/security_test.ts runs the program that needs a server with TLS.
      if (language !== "ts" || info === "tls") continue;
      const program = ports.reduce((text, [shown, port]) => text.replaceAll(shown, String(port)), text);
      await writeFiles(directory, new Map([["snippet.ts", program]]));
      const { success, stderr } = await new Deno.Command(Deno.execPath(), {
        args: ["run", "-A", ...projectFlags(), `${directory}/snippet.ts`],
      }).output();
      assert(success, `${PAGE}:${line}: ${new TextDecoder().decode(stderr)}`);
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
  assertEquals(await server.cli("XLEN", "events:AuctionEnded"), "4");
  assertEquals(await server.cli("XLEN", "shop:AuctionEnded"), "1");
});

Deno.test("docs/README_REDIS.md: an entry written by redis-cli is handled", async () => {
  await using server = await RedisServer.start();
  await using broker = await connect(server.url, { events });
  const line = fencesOf(page).flatMap(({ text }) => text.split("\n")).find((line) => line.includes(" XADD "))!;
  const handled = Promise.withResolvers<string>();
  await broker.subscribe(AuctionEnded, ({ detail }) => handled.resolve(detail.auctionId), { group: "payments" });
  await server.cli(...words(line).slice(1));
  assertEquals(await handled.promise, "by-hand");
});

Deno.test("docs/README_REDIS.md: its troubleshooting has the messages that the broker throws", async (test) => {
  await using server = await RedisServer.start();
  /** That a promise rejects with a symptom of the page. */
  const fails = async (promise: Promise<unknown>, fragment: string) => {
    assert(symptoms().some((text) => text.includes(fragment)), `the page does not explain ${fragment}`);
    const error = await assertRejects(() => promise, Error);
    assertStringIncludes(error.message, fragment);
  };
  const bad = (change: (url: URL) => void) => {
    const url = new URL(server.url);
    change(url);
    return connect(url, { events });
  };

  await test.step("no server", () => fails(bad((url) => url.port = "1"), "nothing listens there"));
  await test.step("a wrong password", () => fails(bad((url) => url.password = "no"), "wrong user or password"));
  await test.step("no password", async () => {
    await using closed = await RedisServer.start(["--requirepass", "secret"]);
    await fails(connect(closed.url, { events }), "it wants a password");
  });
  await test.step("a key of another type", async () => {
    await server.cli("SET", "shop:AuctionEnded", "1");
    await using broker = await connect(server.url, { events, prefix: "shop", publishTimeout: 2_000 });
    await fails(broker.subscribe(AuctionEnded, () => {}, { group: "payments" }), "WRONGTYPE");
    await fails(broker.publish(new AuctionEnded({ auctionId: "a-1", price: 1 })), "WRONGTYPE");
  });
  await test.step("a consumer name in use, and a deleted group", async () => {
    await using broker = await connect(server.url, { events });
    await using other = await connect(server.url, { events });
    const options = { group: "payments", consumer: "till" };
    const subscription = await broker.subscribe(AuctionEnded, () => {}, options);
    await fails(other.subscribe(AuctionEnded, () => {}, options), "is alive under that name");
    subscription.addEventListener("error", () => {});
    await broker.deleteGroup(AuctionEnded, { group: "payments", force: true });
    await fails(subscription.closed, "it was deleted");
  });
  await test.step("another number of partitions", async () => {
    class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string }> {}
    const open = (partitions: number) =>
      connect(server.url, { events: [BidPlaced], streams: { BidPlaced: { partitions } } });
    await using broker = await open(8);
    await broker.publish(new BidPlaced({ auctionId: "a-1" }));
    await using other = await open(4);
    await fails(other.publish(new BidPlaced({ auctionId: "a-1" })), "the store has it with 8 partitions");
  });
  await test.step("no memory left, then more memory", async () => {
    await using broker = await connect(server.url, { events });
    assert(symptoms().some((text) => text.startsWith("OOM in `reconnect`")));
    await server.cli("CONFIG", "SET", "maxmemory", "1");
    const full = new Promise<string>((resolve) =>
      broker.addEventListener("reconnect", ({ error }) => resolve(String(error)), { once: true })
    );
    const published = broker.publish(new AuctionEnded({ auctionId: "a-2", price: 2 }));
    assertStringIncludes(await full, "OOM");
    await server.cli("CONFIG", "SET", "maxmemory", "0");
    await published;
  });
});
