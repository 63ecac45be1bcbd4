import { setTimeout as pause } from "node:timers/promises";
import type { Auction } from "../auction/auction.ts";
import { testCards } from "../auction/card_processor.ts";
import type { Registration } from "../auction/registration.ts";

/** What the load uses, and how much of it there is. */
export interface LoadOptions {
  auction: Auction;
  registration: Registration;
  /** How many auctions begin in a second. */
  perSecond: number;
  /** Ends the load. */
  signal: AbortSignal;
  /** Called for each bid. */
  onBid(): void;
  /** Called when an event could not be published. The load goes on. */
  onFailure(error: unknown): void;
}

// Only the newest bidders bid, because retention removes the oldest registrations.
const BIDDERS = 12;
const AUCTIONS_BETWEEN_BIDDERS = 10;
// While the store is away, publishes wait. No auction begins while so many have not ended.
const MOST_AT_ONCE = 200;

/** Registers bidders and holds auctions at a steady rate: each begins, gets bids and ends. Returns when `signal` aborts. */
export async function steadyLoad(options: LoadOptions): Promise<void> {
  const { auction, registration, perSecond, signal, onBid, onFailure } = options;
  // New names in each run, so that the example can run again on the same store.
  const run = crypto.randomUUID().slice(0, 4);
  const bidders: string[] = [];
  let registered = 0;
  const running = new Set<Promise<void>>();

  const register = async () => {
    const nth = ++registered;
    const bidderId = `bidder-${nth}-${run}`;
    const cardNumber = nth % 6 === 0 ? testCards.declined : testCards.good;
    await registration.register({ bidderId, name: `Bidder ${nth}`, cardNumber });
    bidders.push(bidderId);
    if (bidders.length > BIDDERS) bidders.shift();
  };
  const hold = async (auctionId: string) => {
    for (const least of [10, 20, 30, 40]) {
      const bidderId = bidders[Math.floor(Math.random() * bidders.length)]!;
      auction.bid(auctionId, bidderId, least + Math.round(Math.random() * 10));
      onBid();
      await pause(Math.random() * 100, undefined, { signal });
    }
    await auction.end(auctionId);
  };
  const start = (act: () => Promise<void>) => {
    const done = act().catch((error) => {
      if (!signal.aborted) onFailure(error);
    }).finally(() => running.delete(done));
    running.add(done);
  };

  for (let nth = 0; nth < BIDDERS; nth++) await register();
  for (let nth = 1; !signal.aborted; nth++) {
    if (nth % AUCTIONS_BETWEEN_BIDDERS === 0) start(register);
    if (running.size < MOST_AT_ONCE) start(() => hold(`lot-${nth}-${run}`));
    await pause(1_000 / perSecond, undefined, { signal }).catch(() => {});
  }
}
