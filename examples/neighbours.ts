/**
 * Handles events that redis-cli and a Python script publish, in four forms. An entry with wrong fields is refused.
 *
 *     deno run --allow-net=127.0.0.1:6379 --allow-run=redis-cli,python3 examples/neighbours.ts \
 *       --broker=redis://127.0.0.1:6379
 *
 * @module
 */
import { connect, defineEvent } from "@tidings/broker";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { assertRedis, main } from "./_cli.ts";
import { say } from "./_columns.ts";
import { heading, table } from "./_print.ts";

class LotSold extends defineEvent("LotSold", {
  // TypeScript cannot check the events of other programs. The schema does, before the handler gets an event.
  schema: z.object({ lot: z.string(), price: z.number() }),
  // An entry without id and version is version 0, if its class has an upcast from 0. The Python ancestor of this package
  // wrote such entries.
  upcast: {
    0: (old: { lot_name: string; price_usd: number }) => ({ lot: old.lot_name, price: old.price_usd }),
  },
}) {}

await main("neighbours", "Handles events that redis-cli and Python publish", async ({ url, signal, fail, begin }) => {
  assertRedis("neighbours", url);
  await using broker = await connect(url, { events: [LotSold] });
  broker.addEventListener("error", ({ error }) => fail(error));
  const { hostname, port } = new URL(url);
  const [host, number] = [hostname, port || "6379"];

  begin();
  const sold: LotSold[] = [];
  const refused: string[] = [];
  const all = Promise.withResolvers<void>();
  signal.addEventListener("abort", () => all.reject(signal.reason), { once: true });
  const settled = () => sold.length >= 4 && refused.length >= 1 && all.resolve();
  await using subscription = await broker.subscribe(LotSold, (event) => {
    sold.push(event);
    settled();
  }, { group: `books-${crypto.randomUUID().slice(0, 4)}`, startFrom: "now" });
  subscription.addEventListener("deadletter", ({ error }) => {
    refused.push(error instanceof Error ? error.message : String(error));
    settled();
  });

  heading("1  Other programs publish", "redis-cli adds one entry, and a Python script adds four of different forms.");
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

  heading("2  The handler gets events", "Each entry became an event of the class LotSold, whatever its form.");
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

  heading("3  The schema refuses an entry", "It became a dead letter of the group at once. The handler never got it.");
  for (const message of refused) say(message, "  ");
});

function text(fields: Readonly<Record<string, string>>): string | undefined {
  return Object.entries(fields).map(([name, value]) => `${name}=${value}`).join(" ") || undefined;
}

/** Runs a program to its end. */
async function command(program: string, args: string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, stdout: "null", stderr: "piped" }).output();
  if (!success) throw new Error(`Cannot run ${program}: ${new TextDecoder().decode(stderr).trim()}`);
}
