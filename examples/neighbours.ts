/**
 * Events that redis-cli and Python publish, handled by a service of ours.
 *
 *     deno run --allow-net=127.0.0.1:6379 --allow-run=redis-cli,python3 examples/neighbours.ts \
 *       --broker=redis://127.0.0.1:6379
 *
 * @module
 */
import { connect, defineEvent } from "@tidings/broker";
import { fileURLToPath } from "node:url";
import { assertRedis, main } from "./_cli.ts";
import { heading, table } from "./_print.ts";

class LotSold extends defineEvent("LotSold", {
  // Entries of the Python ancestor have neither an id nor a version: they are version 0 where a class can read those.
  upcast: {
    0: (old: { lot_name: string; price_usd: number }) => ({ lot: old.lot_name, price: old.price_usd }),
  },
})<{ lot: string; price: number }> {}

await main("neighbours", "Events that redis-cli and Python publish", async ({ url, signal, fail, begin }) => {
  assertRedis("neighbours", url);
  await using broker = await connect(url, { events: [LotSold] });
  broker.addEventListener("error", ({ error }) => fail(error));
  const { hostname, port } = new URL(url);
  const [host, number] = [hostname, port || "6379"];

  begin();
  const sold: LotSold[] = [];
  const all = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => all.reject(signal.reason), { once: true });
  await using subscription = await broker.subscribe(LotSold, (event) => {
    if (sold.push(event) === 4) all.resolve();
  }, { group: `books-${crypto.randomUUID().slice(0, 4)}`, startFrom: "now" });
  subscription.addEventListener("deadletter", ({ error }) => fail(error));

  heading("1  Others publish", "redis-cli adds one entry by hand, and a Python script adds three of three kinds.");
  const payload = JSON.stringify({ lot: "lamp", price: 45 });
  await command("redis-cli", [
    "-h",
    host,
    "-p",
    number,
    "XADD",
    "events:LotSold",
    "*",
    "version",
    "1",
    "payload",
    payload,
  ]);
  const script = fileURLToPath(new URL("neighbours/publish.py", import.meta.url));
  await command("python3", [script, host, number, "events:LotSold"]);
  await all.promise;

  heading("2  A service handles them", "Each became an event of this class, whoever wrote it, and in whatever form.");
  table([
    ["lot", "price", "source", "extensions", "unknown fields"],
    ...sold.map(({ detail, source, extensions, unknownFields }) => [
      detail.lot,
      detail.price.toFixed(2),
      source,
      text(extensions),
      text(unknownFields),
    ]),
  ]);
});

function text(fields: Readonly<Record<string, string>>): string | undefined {
  return Object.entries(fields).map(([name, value]) => `${name}=${value}`).join(" ") || undefined;
}

/** Runs a program to its end. */
async function command(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (!success) throw new Error(`Cannot run ${program}: ${new TextDecoder().decode(stderr).trim()}`);
}
