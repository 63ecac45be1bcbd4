import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { ConsumerWaitingEvent } from "../../broker/mod.ts";
import { StoreError } from "../../store/mod.ts";
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
  until,
  within,
} from "../_broker_bench.ts";

/** Contracts of consumers with names of their own. */
export const naming: readonly BrokerContract[] = [
  contract("20", "subscribe() refuses the name of a live consumer, and succeeds a closed one", async (bench) => {
    const [one, other] = [await bench.broker(), await bench.broker()];
    const options = { group: "group", consumer: "me", lease: LEASE };
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
    const options = { group: "group", consumer: "me" };
    const waits = told<ConsumerWaitingEvent>(broker, "waiting");
    const dead = await store.member(STREAM, "group", { consumer: "me", lease: 2 * LEASE, startFrom: "beginning" });
    const seen = new Seen<Counted>();
    const subscription = await within(broker.subscribe(Counted, seen.handler, options), "the lease to end");
    const [wait] = waits;
    assertEquals([wait!.group, wait!.consumer, wait!.eventType, wait!.holder], [
      "group",
      "me",
      "Counted",
      dead.consumer,
    ]);
    assert(wait!.expiresIn > 0 && wait!.expiresIn <= 2 * LEASE + 1);
    await seen.count(2);
    await subscription.close();
    await store.member(STREAM, "group", { consumer: "me", lease: 2 * LEASE, startFrom: "beginning" });
    const pulled = broker.consume(Counted, options);
    const next = pulled.next();
    await until(() => waits.length === 2, "consume() waits");
    await broker.publish(counted(1));
    const { value: delivery } = await within(next, "the lease to end");
    await delivery!.ack();
    await pulled.return();
  }, "store"),
];
