import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ConsumerWaitingEvent } from "../../../broker/mod.ts";
import { StoreError } from "../../../store/mod.ts";
import {
  type BrokerContract,
  contract,
  Counted,
  counted,
  groupOf,
  LEASE,
  Seen,
  STREAM,
  told,
  within,
} from "../../_broker_bench.ts";

/** Contracts of consumers that are given a name. */
export const naming: readonly BrokerContract[] = [
  contract("20", "subscribe() refuses the name of a live consumer, and takes that of a closed one", async (bench) => {
    const [one, other] = [await bench.broker(), await bench.broker()];
    // The name is refused once its consumer renews, after a third of its lease.
    const options = { group: "group", consumer: "me", lease: 1_000 };
    const first = await one.subscribe(Counted, () => {}, options);
    const error = await assertRejects(() => other.subscribe(Counted, () => {}, options), StoreError);
    assertEquals(error.kind, "name-taken");
    assertStringIncludes(error.message, '"me"');
    assertStringIncludes(error.message, (await groupOf(one, Counted)).consumers[0]!.name);
    await first.close();
    const second = await other.subscribe(Counted, () => {}, options);
    assertEquals((await groupOf(one, Counted)).consumers.length, 1);
    await second.close();
  }),

  contract("20", "subscribe() and consume() wait for the lease of a dead consumer of their name", async (bench) => {
    const broker = await bench.broker();
    const store = await bench.store();
    await broker.publish(counted(2));
    const waits = told<ConsumerWaitingEvent>(broker, "waiting");
    const lease = 2 * LEASE;
    const die = async (group: string) => {
      const dead = await store.member(STREAM, group, { consumer: "me", lease, startFrom: "beginning" });
      return [group, "me", "Counted", dead.consumer];
    };
    const seen = new Seen<Counted>();
    const expected = [await die("subscribing"), await die("consuming")];
    const subscribing = broker.subscribe(Counted, seen.handler, { group: "subscribing", consumer: "me" });
    const pulled = broker.consume(Counted, { group: "consuming", consumer: "me" });
    const [subscription, { value: delivery }] = await within(
      Promise.all([subscribing, pulled.next()]),
      "the leases to end",
    );
    assertEquals(
      waits.map(({ group, consumer, eventType, holder }) => [group, consumer, eventType, holder]).toSorted(),
      expected.toSorted(),
    );
    for (const { expiresIn } of waits) assert(expiresIn > 0 && expiresIn <= lease + 1);
    await seen.count(2);
    await subscription.close();
    await delivery!.ack();
    await pulled.return();
  }, "store"),
];
