import { defineEvent, InMemoryBroker, PermanentError } from "@tidings/broker";
import { until } from "../../src/testing/_broker_bench.ts";
import { measure, type Scrape } from "./_scrape.ts";

class Paid extends defineEvent("Paid")<{ n: number }> {}
class BidPlaced extends defineEvent("BidPlaced", { subject: "auctionId" })<{ auctionId: string }> {}

/** A scrape in which every metric has a value. */
export async function everyMetric(): Promise<Scrape> {
  await using broker = new InMemoryBroker({
    events: [Paid, BidPlaced],
    streams: { BidPlaced: { partitions: 2 } },
    retention: { maxLength: 1 },
  });
  await using metrics = measure(broker);
  await broker.subscribe(Paid, ({ detail: { n } }) => {
    if (n < 2) throw new PermanentError("never");
  }, { group: "mails" });
  await broker.subscribe(BidPlaced, () => {}, { group: "mails" });
  await broker.publish(new BidPlaced({ auctionId: "a-1" }));
  await broker.publish([0, 1, 2].map((n) => new Paid({ n })));
  await broker.idle();
  const [letter] = await Array.fromAsync(broker.deadLetters(Paid, { group: "mails" }));
  await broker.redrive(Paid, { group: "mails", ids: [letter!.id] });
  await broker.idle();
  await broker.discardDeadLetters(Paid, { group: "mails" });
  // Not every publish removes old events.
  await until(async () => {
    await broker.publish(new Paid({ n: 2 }));
    return (await metrics.scrape()).value("tidings_events_trimmed_total") !== undefined;
  }, "retention has removed events");
  return await metrics.scrape();
}
