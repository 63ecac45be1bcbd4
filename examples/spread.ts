/**
 * Spreads the bids of many auctions over three processes, and kills one. The bids of each auction stay in order.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings --allow-run=deno examples/spread.ts
 *
 * @module
 */
import { setTimeout as pause } from "node:timers/promises";
import { green, red } from "@std/fmt/colors";
import { connect, partitionOf } from "@tidings/broker";
import { assertShared, main } from "./_cli.ts";
import { say } from "./_columns.ts";
import { brokerPermissions, filePermissions } from "./_permissions.ts";
import { heading, table } from "./_print.ts";
import { Process } from "./_process.ts";
import { BidPlaced, options, PARTITIONS } from "./spread/bid.ts";
import { BidBook, type Entry } from "./spread/bid_book.ts";

const LOTS = ["vase", "clock", "rug", "mirror", "chair", "sword", "lamp", "ring", "crown", "globe", "table", "harp"];
// Each auction gets a bid this often, in milliseconds.
const BID_EVERY = 20;

await main("spread", "Three processes handle all bids, each auction's in order", async (command) => {
  const { url, signal, fail, begin } = command;
  assertShared("spread", url);
  await using broker = await connect(url, options);
  broker.addEventListener("error", ({ error }) => fail(error));
  await using book = await BidBook.open(".tidings");

  const handledBy = new Map<number, number>();
  const startProcess = () =>
    new Process(
      "spread/bid_process.ts",
      [...brokerPermissions(url), ...filePermissions(".tidings")],
      [url, book.path],
      { signal, fail, onLine: (pid) => handledBy.set(pid as number, (handledBy.get(pid as number) ?? 0) + 1) },
    );

  /** The partitions that a process has, as the store knows them. */
  const partitionsOf = async ({ pid }: Process) => {
    const { groups } = await broker.info(BidPlaced);
    const partitions = groups.find(({ name }) => name === "bids")?.partitions ?? [];
    const own = partitions.filter(({ owner }) => owner === `bids-${pid}`);
    return {
      numbers: own.map(({ partition }) => partition),
      pending: own.reduce((sum, { pending }) => sum + pending, 0),
    };
  };
  /** Waits until these processes have all partitions, and none has two more than another. */
  const spreadOver = async (...processes: Process[]) => {
    for (;;) {
      const all = await Promise.all(processes.map(async (process) => (await partitionsOf(process)).numbers));
      const sizes = all.map(({ length }) => length);
      if (new Set(all.flat()).size === PARTITIONS && Math.max(...sizes) - Math.min(...sizes) <= 1) {
        return table([["process", "partitions"], ...processes.map(({ pid }, nth) => [pid, all[nth]!.join(", ")])]);
      }
      await pause(20, undefined, { signal });
    }
  };

  begin();
  const run = crypto.randomUUID().slice(0, 4);
  const auctions = LOTS.map((lot) => `${lot}-${run}`);
  heading(
    `1  One stream in ${PARTITIONS} partitions`,
    "Each partition is a stream of its own in the store; in a Redis Cluster, the nodes share them. A hash of the " +
      "auction's id says which one gets its bids. So all bids of one auction are in one partition, in order.",
  );
  const there = Map.groupBy(auctions, (auctionId) => partitionOf(auctionId, PARTITIONS));
  const numbers = Array.from({ length: PARTITIONS }, (_, number) => number);
  table([["partition", "auctions"], ...numbers.map((number) => [number, there.get(number)?.join(", ")])]);

  heading(
    "2  Three processes share the partitions",
    "They are consumers of one group. A partition has one consumer at a time, and so has each auction.",
  );
  await using first = startProcess();
  await using second = startProcess();
  await using third = startProcess();
  await spreadOver(first, second, third);

  heading(
    `3  Bids come in, and process ${second.pid} is killed`,
    "SIGKILL, as when a machine loses its power: the process can finish nothing and release nothing.",
  );
  let bids = 0;
  /** Every auction gets one more bid: 10, then 20, then 30. */
  const bid = async () => {
    await pause(BID_EVERY, undefined, { signal });
    const detail = { bidderId: `bidder-${bids % 3}`, amount: ++bids * 10 };
    await Promise.all(auctions.map((auctionId) => broker.publish(new BidPlaced({ auctionId, ...detail }))));
  };
  let owned = await partitionsOf(second);
  // It is killed in the middle of its work.
  while ((handledBy.get(second.pid) ?? 0) < 40 || owned.pending === 0) {
    await bid();
    owned = await partitionsOf(second);
  }
  await second.kill();
  const work = `It had handled ${handledBy.get(second.pid)} bids, and held ${owned.pending} more`;
  say(`${work}, of the partitions ${owned.numbers.join(", ")}. ${red("Killed.")}`, "  ");

  heading(
    "4  The other two share its partitions",
    "Bids still come in. Those for the auctions of the killed process wait until its lease has run out (2 s here, 30 s " +
      "by default). Then the others get its partitions, and go on where it was.",
  );
  for (let more = 0; more < 20; more++) await bid();
  await spreadOver(first, third);
  await broker.idle({ group: "bids", signal });

  heading(
    "5  The bids in the order in which they were handled",
    "Delivery is at least once: bids that the killed process had handled, and not acknowledged, are handled again. But " +
      "none is left out, and none overtakes an earlier one of its auction, whatever the process.",
  );
  const entries = await book.entries();
  const checked = auctions.map((auctionId) => {
    return check(entries.filter((entry) => entry.auctionId === auctionId), bids);
  });
  table([
    ["auction", "bids", "handled again", "processes", "order"],
    ...checked.map(({ again, pids, intact }, nth) => {
      return [auctions[nth], bids, again, pids.join(", "), intact ? "intact" : red("broken")];
    }),
  ]);
  const intact = checked.every((auction) => auction.intact);
  console.log(intact ? green("\n  Each auction's bids were handled in order.") : red("\n  The order is broken."));
});

/** Checks that the bids of one auction were handled in order: 10, 20, 30 and so on, where earlier ones may come again. */
function check(entries: readonly Entry[], bids: number): { again: number; pids: number[]; intact: boolean } {
  let [highest, again, intact] = [0, 0, true];
  for (const { amount } of entries) {
    if (amount <= highest) again++;
    else {
      intact &&= amount === highest + 10;
      highest = amount;
    }
  }
  return { again, pids: [...new Set(entries.map(({ pid }) => pid))], intact: intact && highest === bids * 10 };
}
