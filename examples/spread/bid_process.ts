/**
 * One of the processes that handle bids, for `spread.ts`. It prints its process id for each bid. It ends when its standard
 * input ends, and so never outlives the process that started it.
 *
 *     bid_process.ts <broker> <bid book>
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import { connect } from "@tidings/broker";
import { BidPlaced, options } from "./bid.ts";
import { BidBook } from "./bid_book.ts";

const [url, path] = Deno.args as [string, string];
const book = new BidBook(path);

// A terminal sends Ctrl-C to all its processes. This one ignores it, and ends when `spread.ts` closes its input.
Deno.addSignalListener("SIGINT", () => {});
try {
  await using broker = await connect(url, options);
  await using _subscription = await broker.subscribe(BidPlaced, async ({ detail: { auctionId, amount } }) => {
    // Four bids are handled at once, in different times, but those of one auction one after the other.
    await pause(5 + Math.random() * 10);
    await book.add({ auctionId, amount, pid: Deno.pid });
    Deno.stdout.writeSync(new TextEncoder().encode(`${Deno.pid}\n`));
  }, {
    group: "bids",
    consumer: `bids-${Deno.pid}`,
    concurrency: 4,
    // With the default lease, the partitions of a killed process would wait for 30 s.
    lease: 2_000,
    drainTimeout: 500,
  });
  for await (const _ of Deno.stdin.readable);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  Deno.exitCode = 1;
}
Deno.exit();
