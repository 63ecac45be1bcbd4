/**
 * Replays past events: from the beginning, from a position, from a time, and to compute a ledger. No service runs.
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
import { groups, heading, show, streams, table } from "./_print.ts";

/** The account of a bidder, computed from events. */
interface Account {
  name: string;
  won: number;
  paid: number;
  declined: number;
}

await main("replay", "Replays past events while no service runs", async ({ url, signal, begin }) => {
  assertDurable("replay", url);
  await using broker = await connect(url, { events, signal });
  const before = await streams(broker);
  assertPast("replay", url, before);

  begin();
  heading("Groups before", "A replay gives events to one handler of this process. It changes no group.");
  groups(before);

  heading("From the beginning", "All events of all types, ordered by position.");
  await replay(broker, { signal });

  const [paid] = await Array.fromAsync(broker.history(PaymentProcessed, { limit: 1, reverse: true, signal }));
  if (paid !== undefined) {
    heading(
      `From position ${paid.position}`,
      "The last payment and all events after it. `from` includes the position.",
    );
    await replay(broker, { from: paid.position!, signal });
  }

  const [joined] = await Array.fromAsync(broker.history(BidderRegistered, { limit: 1, reverse: true, signal }));
  if (joined !== undefined) {
    heading(
      `From ${joined.time.toISOString()}`,
      "`from` may be a Date: here the time when the last bidder registered.",
    );
    await replay(broker, { from: joined.time, signal });
  }

  heading(
    "A ledger of bidders, computed twice",
    "The same events give the same ledger, at any time and in any process.",
  );
  // Both end at the same event, even if another process publishes meanwhile.
  const [last] = await Array.fromAsync(broker.history(events, { limit: 1, reverse: true, signal }));
  const past: ReadOptions = { ...(last?.position && { to: last.position }), signal };
  const [once, again] = [await ledger(broker, past), await ledger(broker, past)];
  table([["bidder", "name", "won", "paid", "declined"], ...[...once].slice(-6).map(row)]);
  const same = JSON.stringify([...once]) === JSON.stringify([...again]);
  console.log(`  ${once.size} bidders; both ledgers are ${same ? green("the same") : red("different")}`);

  const after = await streams(broker);
  const still = progress(after) === progress(before);
  heading(
    "Groups after",
    still ? "As before: no card was charged again, no mail was sent." : "Another process is handling events.",
  );
  groups(after);
});

/** Replays, and prints the first and the last events. */
async function replay(broker: AuctionBroker, options: ReadOptions): Promise<void> {
  const lines: AuctionHouseEvent[] = [];
  const count = await broker.replay(events, (event) => void lines.push(event), options);
  for (const event of lines.slice(0, 3)) show(event);
  if (count > 6) console.log(dim(`  … ${count - 6} more …`));
  for (const event of lines.slice(Math.max(3, count - 3))) show(event);
  console.log(`  replayed: ${count}`);
}

/** The progress of all groups, to compare. */
function progress(infos: readonly StreamInfo[]): string {
  const groups = infos.flatMap((info) => info.groups);
  return JSON.stringify(groups.map(({ name, lag, pending, deadLetters }) => [name, lag, pending, deadLetters]));
}

/** Computes the accounts of all bidders. */
async function ledger(broker: AuctionBroker, options: ReadOptions): Promise<Map<string, Account>> {
  const accounts = new Map<string, Account>();
  // Events of two types have no common order: a payment may come before its bidder's registration.
  const account = (id: string) => {
    const found = accounts.get(id) ?? { name: "?", won: 0, paid: 0, declined: 0 };
    accounts.set(id, found);
    return found;
  };
  await broker.replay(events, (event) => {
    // Another program's event.
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
