/**
 * The past, read again: from the beginning, from a position, from a time, and folded into a ledger. No service acts.
 *
 *     deno run --allow-read=.tidings --allow-write=.tidings examples/replay.ts
 *
 * @module
 */
import { dim, green, red } from "@std/fmt/colors";
import { connect, type ReadOptions, type StreamInfo } from "@tidings/broker";
import {
  type AuctionBroker,
  type AuctionHouseEvent,
  BidderRegistered,
  events,
  PaymentProcessed,
} from "./auction/events.ts";
import { shapeFault } from "./auction/shape.ts";
import { assertDurable, assertPast, main } from "./_cli.ts";
import { groups, heading, line, streams, table } from "./_print.ts";

/** What is known of a bidder: nothing but a fold over events. */
interface Account {
  name: string;
  won: number;
  paid: number;
  declined: number;
}

await main("replay", "The past, read again, while no service acts", async ({ url, signal, begin }) => {
  assertDurable("replay", url);
  await using broker = await connect(url, { events, signal });
  const before = await streams(broker);
  assertPast("replay", url, before);

  begin();
  heading("Groups before", "Replaying gives events to one handler of this process. No group takes part in it.");
  groups(before);

  heading("From the beginning", "Every event of every type, merged by position.");
  await replay(broker, { signal });

  const [paid] = await Array.fromAsync(broker.history(PaymentProcessed, { limit: 1, reverse: true, signal }));
  if (paid !== undefined) {
    heading(`From position ${paid.position}`, "The last payment and all that came after it: a position is inclusive.");
    await replay(broker, { from: paid.position!, signal });
  }

  const [joined] = await Array.fromAsync(broker.history(BidderRegistered, { limit: 1, reverse: true, signal }));
  if (joined !== undefined) {
    heading(`From ${joined.time.toISOString()}`, "A Date will do as well: the time when the last bidder registered.");
    await replay(broker, { from: joined.time, signal });
  }

  heading(
    "A ledger of bidders, built twice",
    "State is a fold over events: the same events give the same answer, on any day, in any process.",
  );
  // Both end at the same event, even if somebody publishes meanwhile.
  const [last] = await Array.fromAsync(broker.history(events, { limit: 1, reverse: true, signal }));
  const past: ReadOptions = { ...(last?.position && { to: last.position }), signal };
  const [once, again] = [await ledger(broker, past), await ledger(broker, past)];
  table([["bidder", "name", "won", "paid", "declined"], ...[...once].slice(-6).map(row)]);
  const same = JSON.stringify([...once]) === JSON.stringify([...again]);
  console.log(`  ${once.size} bidders in all; both answers are ${same ? green("the same") : red("different")}`);

  const after = await streams(broker);
  const still = progress(after) === progress(before);
  heading(
    "Groups after",
    still ? "As before: nobody was charged again, no mail was sent." : "Another process is at work.",
  );
  groups(after);
});

/** Replays, and shows how it began and ended. */
async function replay(broker: AuctionBroker, options: ReadOptions): Promise<void> {
  const lines: AuctionHouseEvent[] = [];
  const count = await broker.replay(events, (event) => void lines.push(event), options);
  for (const event of lines.slice(0, 3)) line(event);
  if (count > 6) console.log(dim(`  … ${count - 6} more …`));
  for (const event of lines.slice(Math.max(3, count - 3))) line(event);
  console.log(`  replayed: ${count}`);
}

/** All that would change if a group had taken part. */
function progress(infos: readonly StreamInfo[]): string {
  const groups = infos.flatMap((info) => info.groups);
  return JSON.stringify(groups.map(({ name, lag, pending, deadLetters }) => [name, lag, pending, deadLetters]));
}

/** Reads the past once, and keeps only what it adds up to. */
async function ledger(broker: AuctionBroker, options: ReadOptions): Promise<Map<string, Account>> {
  const accounts = new Map<string, Account>();
  // An event may come before the one that names its bidder: no order is promised between types.
  const account = (id: string) => {
    const found = accounts.get(id) ?? { name: "?", won: 0, paid: 0, declined: 0 };
    accounts.set(id, found);
    return found;
  };
  await broker.replay(events, (event) => {
    if (shapeFault(event) !== undefined) return;
    if (event.type === "BidderRegistered") account(event.detail.bidderId).name = event.detail.name;
    else if (event.type === "AuctionEnded") account(event.detail.winningBidderId).won++;
    else account(event.detail.bidderId)[event.detail.status] += event.detail.amount;
  }, options);
  return accounts;
}

function row([id, { name, won, paid, declined }]: [string, Account]): (string | number)[] {
  return [id, name, won, paid.toFixed(2), declined.toFixed(2)];
}
