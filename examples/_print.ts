/**
 * Prints headings, tables and events, with colors on a terminal.
 *
 * @module
 */
import { bold, cyan, dim, red } from "@std/fmt/colors";
import type { StreamInfo } from "@tidings/broker";
import { pad, say, width } from "./_columns.ts";
import { shapeFault } from "./auction/shape.ts";
import { type AuctionBroker, type AuctionHouseEvent, events } from "./auction/events.ts";

/** Prints the title of a step and its explanation. */
export function heading(title: string, lesson: string): void {
  console.log(`\n${bold(title)}`);
  say(`${lesson}\n`);
}

/** Prints rows in columns. The first row is the head. */
export function table(rows: readonly (readonly (string | number | undefined)[])[]): void {
  const cells = rows.map((row) => row.map((cell) => String(cell ?? "-")));
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => width(row[column]!))));
  for (const [index, row] of cells.entries()) {
    const line = row.map((cell, column) => pad(cell, widths[column]!)).join("  ").trimEnd();
    console.log(`  ${index === 0 ? dim(line) : line}`);
  }
}

/** A sentence about an event, without the card's token. */
function describe(event: AuctionHouseEvent): string {
  const fault = shapeFault(event);
  if (fault !== undefined) return red(`another program's event: ${fault}`);
  switch (event.type) {
    case "BidderRegistered":
      return `${event.detail.name} registers as ${event.detail.bidderId}`;
    case "AuctionEnded": {
      const { auctionId, winningBidderId, winningPrice } = event.detail;
      return `${winningBidderId} wins ${auctionId} for ${winningPrice.toFixed(2)}`;
    }
    case "PaymentProcessed": {
      const { auctionId, bidderId, amount, status } = event.detail;
      return `${bidderId}, ${amount.toFixed(2)} for ${auctionId}: ${status}`;
    }
  }
}

/** The end of the correlation id, which an event shares with its effects. */
function chain(event: AuctionHouseEvent): string {
  return (event.correlationId ?? event.id).slice(-6);
}

/** Prints an event: what it says, and below that where it is and where it comes from. */
export function show(event: AuctionHouseEvent, indent = ""): void {
  const name = `  ${pad(indent + cyan(event.type), 20)}  `;
  say(describe(event), name);
  say(dim(`${event.position}  chain ${chain(event)}  by ${event.source ?? "-"}`), pad("", width(name)));
}

/** The state of all streams and their groups. */
export async function streams(broker: AuctionBroker): Promise<StreamInfo[]> {
  return await Promise.all(events.map((event) => broker.info(event)));
}

/** Prints the state of the groups. */
export function groups(infos: readonly StreamInfo[]): void {
  const rows = infos.flatMap(({ type, groups }) =>
    groups.map(({ name, lag, pending, retrying, deadLetters }) => [name, type, lag, pending, retrying, deadLetters])
  );
  table([["group", "stream", "unread", "pending", "retrying", "dead letters"], ...rows]);
}

/** Prints the last dead letters of each group. */
export async function deadLetters(broker: AuctionBroker, limit: number): Promise<void> {
  for (const event of events) {
    for (const { name: group, deadLetters } of (await broker.info(event)).groups) {
      if (deadLetters === 0) continue;
      const letters = await Array.fromAsync(broker.deadLetters(event, { group }));
      console.log(`\n  dead letters of ${group}, ${deadLetters} of them ${event.type}; the last:`);
      for (const { position, reason, error } of letters.slice(-limit)) {
        say(error.message, `    ${dim(position)}  ${red(reason)}  `);
      }
    }
  }
}
