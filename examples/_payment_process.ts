/**
 * The payment service as a process of its own, for `crash.ts`. It says what it did, a line of JSON for each card, and
 * ends when its standard input does, so that it never outlives whoever started it.
 *
 *     _payment_process.ts <broker> <ledger> <after how many cards answers fail to come>
 *
 * @module
 */
import { connect } from "@tidings/broker";
import { events } from "./auction/events.ts";
import { type Charge, startPayment } from "./auction/payment.ts";
import { Ledger } from "./_ledger.ts";

/** What it says. */
export interface Charged {
  auctionId: string;
  pid: number;
  consumer: string;
  attempt: number;
  recovered: number;
  /** False if the card was charged before, so that nothing was taken. */
  first: boolean;
}

const [url, path, answers] = Deno.args as [string, string, string];
const ledger = new Ledger(path);
let charges = 0;

const charge: Charge = async (_cardToken, amount, { idempotencyKey, delivery }) => {
  const { event: { detail: { auctionId } }, consumer, attempt, recovered } = delivery;
  const first = await ledger.enter(idempotencyKey, auctionId, amount);
  say({ auctionId, pid: Deno.pid, consumer, attempt, recovered, first });
  // The money is taken, the answer is on its way, nothing is acknowledged: the worst moment to be killed.
  if (++charges > Number(answers)) await new Promise(() => {});
  return "paid";
};

function say(charged: Charged): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(charged)}\n`));
}

// A terminal sends Ctrl-C to all its processes. Whoever started this one ends it, in good order.
Deno.addSignalListener("SIGINT", () => {});
try {
  await using broker = await connect(url, { events });
  // Nobody likes to wait for an example: the default of the lease is 30 s.
  const options = { consumer: `payment-${Deno.pid}`, concurrency: 3, lease: 2_000, drainTimeout: 500 };
  await using _payment = await startPayment(broker, charge, options);
  for await (const _ of Deno.stdin.readable);
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  Deno.exitCode = 1;
}
Deno.exit();
