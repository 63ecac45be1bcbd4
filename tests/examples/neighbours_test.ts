import { assertEquals, assertMatch } from "@std/assert";
import { connect, defineEvent } from "@tidings/broker";
import { fileURLToPath } from "node:url";
import { RedisServer } from "../redis/_server.ts";
import { flat, run } from "./_example.ts";

Deno.test("neighbours prints the events of redis-cli and Python and refuses wrong fields, also the second time", async () => {
  await using server = await RedisServer.start();
  for (let time = 1; time <= 2; time++) {
    const { code, stdout, stderr } = await run("neighbours", [`--broker=redis://127.0.0.1:${server.port}`]);
    assertEquals([code, stderr], [0, ""]);
    const rows = stdout.split("\n").map((line) => line.trim().split(/ {2,}/));
    assertEquals(rows.filter(([, price]) => /^\d+\.\d\d$/.test(price ?? "")), [
      ["lamp", "45.00", "-", "-", "-"],
      ["clock", "75.00", "-", "-", "till=7"],
      ["vase", "120.50", "-", "-", "event_type=LotSold"],
      ["globe", "40.00", "/python", "region=eu", "-"],
    ]);
    assertMatch(
      flat(stdout),
      /3 The schema refuses an entry.*Cannot decode LotSold at \d+-\d+: its schema refuses detail\.price/,
    );
  }
});

Deno.test("neighbours rejects a broker that other programs cannot write to", async () => {
  const { code, stdout, stderr } = await run("neighbours", ["--broker=memory:"]);
  assertEquals([code, stdout], [2, ""]);
  assertMatch(stderr, /^Cannot run neighbours.ts with "memory:": [^\n]+\n$/);
});

Deno.test("Python and redis-cli read our events, and Python makes CloudEvents of them", async () => {
  class Noted extends defineEvent("shop.Noted")<{ text: string }> {}
  await using server = await RedisServer.start();
  await using broker = await connect(server.url, { events: [Noted], prefix: "shop" });
  const events = [
    new Noted({ text: "plain" }, { time: new Date(5), id: "n-1" }),
    new Noted({ text: "Ünï ✓ 𝄞" }, {
      id: "n-2",
      source: "/s",
      subject: "x",
      extensions: { region: "eu" },
      correlationId: "c",
    }),
  ];
  await broker.publish(events);
  const script = fileURLToPath(new URL("../../examples/neighbours/read.py", import.meta.url));
  const args = [script, "127.0.0.1", String(server.port), "shop:shop.Noted"];
  const { stdout, stderr } = await new Deno.Command("python3", { args }).output();
  assertEquals(new TextDecoder().decode(stderr), "");
  const lines = new TextDecoder().decode(stdout).trimEnd().split("\n").map((line) => JSON.parse(line));
  const stored = await Array.fromAsync(broker.history(Noted));
  assertEquals(lines, stored.map((event) => event.toCloudEvent()));
  const entries = JSON.parse(await server.cli("--json", "XRANGE", "shop:shop.Noted", "-", "+"));
  assertEquals(entries.map(([position]: [string]) => position), stored.map(({ position }) => position));
});
