/**
 * The payment service as a separate process, for `crash.ts`. It prints a line of JSON for each charge. It ends when its
 * standard input ends, and so never outlives the process that started it.
 *
 *     _payment_process.ts <broker> <ledger> <number of charges that get an answer>
 *
 * @module
 */
import { connect } from "@tidings/broker";
import { events } from "./auction/events.ts";
import { type Charge, startPayment } from "./auction/payment.ts";
import { Ledger } from "./_ledger.ts";

/** A line of its output. */
export interface Charged {
  auctionId: string;
  pid: number;
  consumer: string;
  attempt: number;
  recovered: number;
  /** False if an earlier call made this charge, so that this call took no money. */
  first: boolean;
}

const [url, path, answers] = Deno.args as [string, string, string];
const ledger = new Ledger(path);
let charges = 0;

const charge: Charge = async (_cardToken, amount, { idempotencyKey, delivery }) => {
  const { event: { detail: { auctionId } }, consumer, attempt, recovered } = delivery;
  const first = await ledger.enter(idempotencyKey, auctionId, amount);
  print({ auctionId, pid: Deno.pid, consumer, attempt, recovered, first });
  // The worst moment for a kill: the card is charged, but the answer has not arrived and nothing is acknowledged.
  if (++charges > Number(answers)) await new Promise(() => {});
  return "paid";
};

function print(charged: Charged): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(charged)}\n`));
}

// A terminal sends Ctrl-C to all its processes. This one ignores it, and ends when `crash.ts` closes its input.
Deno.addSignalListener("SIGINT", () => {});
try {
  await using broker = await connect(url, { events });
  // The default lease is 30 s. A short one lets the example end soon.
  const options = { consumer: `payment-${Deno.pid}`, concurrency: 3, lease: 2_000, drainTimeout: 500 };
  await using _payment = await startPayment(broker, charge, options);
  for await (const _ of Deno.stdin.readable);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  Deno.exitCode = 1;
}
Deno.exit();
