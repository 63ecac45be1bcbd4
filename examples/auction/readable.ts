import { type EventOf, type ReadOptions, UndecodableError } from "@tidings/broker";
import type { AuctionBroker, events } from "./events.ts";

/**
 * Yields past events, oldest first. Where another program wrote an entry that cannot be decoded, `history` throws; this
 * goes on behind that entry.
 */
export async function* readable<C extends (typeof events)[number]>(
  broker: AuctionBroker,
  types: readonly C[],
  options: Pick<ReadOptions, "from" | "after" | "signal">,
): AsyncGenerator<EventOf<C>, void, void> {
  for (let range: ReadOptions = options;;) {
    try {
      return yield* broker.history(types, range);
    } catch (error) {
      if (!(error instanceof UndecodableError)) throw error;
      const { from: _, ...rest } = range;
      range = { ...rest, after: error.position };
    }
  }
}
