// A service of the OTLP tests: publishes an event, or handles it once. Arguments: its role, the file, a page to fetch.

import { connect, defineEvent, type EventBroker } from "@tidings/broker";
import { instrument } from "@tidings/broker/telemetry";

class Ended extends defineEvent("Ended")<{ price: number }> {}
class Paid extends defineEvent("Paid")<{ amount: number }> {}

/** Plays its role to the end. */
export async function play([role, url, page]: readonly string[]): Promise<void> {
  // Node 22 has no `await using`.
  const broker = await connect(url!, { events: [Ended, Paid] });
  instrument(broker);
  if (role === "publish") await broker.publish(new Ended({ price: 5 }));
  else await handle(broker, page!);
  await broker.close();
}

async function handle(broker: EventBroker<typeof Ended | typeof Paid>, page: string): Promise<void> {
  const handled = Promise.withResolvers<void>();
  await broker.subscribe(Ended, async ({ detail }, { attempt }) => {
    if (attempt === 1) throw new Error("the first time fails");
    await (await fetch(page)).text();
    await broker.publish(new Paid({ amount: detail.price }));
    handled.resolve();
  }, { group: "payments", retry: { minTimeout: 1 } });
  await handled.promise;
  await broker.idle({ group: "payments" });
}

if (import.meta.main && "Deno" in globalThis) await play(Deno.args);
