import { assert, assertEquals } from "@std/assert";
import { defineEvent } from "../../../events/mod.ts";
import { type BrokerBench, type BrokerContract, contract, told, until } from "../../_broker_bench.ts";
import { schemaOf } from "../../_schemas.ts";
import { inPartitions } from "./_bids.ts";

interface Detail {
  readonly auctionId: string;
  readonly n: number;
}

const OPTIONS = { stream: "Auction", subject: "auctionId" } as const;
class Bid extends defineEvent("Bid", OPTIONS)<Detail> {}

const DELAYS = [40, 80, 160];
const RETRY = { minTimeout: 40, multiplier: 2, maxTimeout: 1_000, jitter: 0, maxAttempts: 4 };
// A timer may fire slightly early as measured by another clock.
const TOLERANCE = 3;

/** Fails for two events before their handlers start, and counts the calls for each. */
class Looks {
  readonly counts = [0, 0];
  // A store may also give an event to its consumer before its retry is due, which is no attempt.
  readonly #failures = [Infinity, 3];

  at({ n }: Detail): void {
    if (this.counts[n]!++ < this.#failures[n]!) throw new Error("The database is away");
  }
}

function assertDue(attempt: number, after: number): void {
  const delays = DELAYS.slice(0, attempt - 1);
  const least = delays.reduce((sum, delay) => sum + delay - TOLERANCE, 0);
  assert(after >= least, `Attempt ${attempt} was made after ${after} ms, and was due after ${least} ms`);
}

/** Publishes two events whose attempts fail before their handlers start, and checks when and how often these are made. */
async function failEarly(
  bench: BrokerBench,
  Class: typeof Bid,
  options: { readonly key?: (event: Bid) => string },
): Promise<void> {
  const writer = await bench.connect([Bid], inPartitions(1));
  const broker = await bench.connect([Class], inPartitions(1));
  const handled: { readonly n: number; readonly attempt: number; readonly at: number }[] = [];
  const subscription = await broker.subscribe(Class, ({ detail: { n } }, { attempt }) => {
    handled.push({ n, attempt, at: performance.now() });
  }, { group: "group", retry: RETRY, ...options });
  const letters = told<Event & { attempts: number }>(subscription, "deadletter");
  const began = performance.now();
  await writer.publish([0, 1].map((n) => new Bid({ auctionId: `auction-${n}`, n })));
  await until(() => letters.length === 1, "the first event is a dead letter");
  assertDue(4, performance.now() - began);
  await until(() => handled.length === 1, "the second event is handled");
  const [{ n, attempt, at }] = handled as [typeof handled[number]];
  assertEquals(n, 1);
  assert(attempt > 1);
  assertDue(attempt, at - began);
  assertEquals(letters.map(({ attempts }) => attempts), [RETRY.maxAttempts]);
  await until(async () => (await broker.info(Class)).groups[0]!.pending === 0, "everything is settled");
}

export const retryingEarly: readonly BrokerContract[] = [
  contract("4, 21, 39", "subscribe() makes no attempt early when a schema fails in a partition", async (bench) => {
    const looks = new Looks();
    class Checked extends defineEvent("Bid", {
      ...OPTIONS,
      schema: schemaOf(async (detail: Detail) => {
        await Promise.resolve();
        looks.at(detail);
        return { value: detail };
      }),
    }) {}
    await failEarly(bench, Checked as unknown as typeof Bid, {});
    assert(looks.counts[0]! >= RETRY.maxAttempts);
  }),

  contract("4, 21, 39", "subscribe() makes no attempt early when the key fails in a partition", async (bench) => {
    const looks = new Looks();
    await failEarly(bench, Bid, {
      key: ({ detail }) => {
        looks.at(detail);
        return detail.auctionId;
      },
    });
    assert(looks.counts[0]! >= RETRY.maxAttempts);
  }),
];
