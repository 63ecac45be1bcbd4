import { assertEquals } from "@std/assert";
import { connect, defineEvent, type RedisOptions } from "@tidings/broker";
import { told } from "../../src/testing/_broker_bench.ts";

class Sold extends defineEvent("Sold")<{ n: number }> {}

/** The warning about a server without an append-only file. */
export const NO_FILE =
  "appendonly is off: when the server stops, events since its last snapshot are lost; set appendonly to yes";

/** Warnings of a new broker, with a listener added as soon as `connect` has resolved. */
export async function warningsOf(url: string | URL, redis: RedisOptions = {}): Promise<string[]> {
  await using broker = await connect(url, { events: [Sold], redis });
  const warnings = told<Event & { message: string }>(broker, "warning");
  // The broker's constructor set a timer of 0 ms for its warnings. Timers of equal delay fire in order.
  await new Promise((resolve) => setTimeout(resolve, 0));
  await broker.publish(new Sold({ n: 1 }));
  assertEquals((await broker.info(Sold)).length > 0, true);
  return warnings.map(({ message }) => message);
}
