// Events that a failover loses, with and without `redis.durability`.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { UncertainPublishError } from "@tidings/broker";
import { eventually } from "../_cluster.ts";
import { counted, idsOn, openBroker, Pair } from "./_pair.ts";

Deno.test("publish() resolves for events that a failover loses, unless it waits for replicas", async () => {
  const cases = [[undefined, 500], [{ replicas: 1, timeout: 200 }, 0]] as const;
  await Promise.all(cases.map(async ([durability, lost]) => {
    await using pair = await Pair.start();
    const broker = await openBroker(pair.master, durability ? { durability } : {});
    const [early, late] = [counted(300), counted(500)];
    await broker.publish(early);
    // Replication is asynchronous.
    await eventually(async () => await pair.replica.cli("XLEN", "events:Counted") === "300");
    await pair.freeze();
    const results = await Promise.allSettled(late.map((event) => broker.publish(event)));
    const refusals = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    const answered = [...early, ...late.filter((_, nth) => results[nth]!.status === "fulfilled")].map(({ id }) => id);
    // Closing sends the uncertain publishes again, for as long as it may take.
    const closing = broker.close();

    const stored = await idsOn(await pair.failover());
    assertEquals(stored, early.map(({ id }) => id));
    assertEquals(answered.filter((id) => !stored.includes(id)).length, lost);
    assertEquals(refusals.length, 500 - lost);
    for (const error of refusals) {
      assert(error instanceof UncertainPublishError, Deno.inspect(error));
      assertMatch(error.message, /0 of 1 replicas have it after 200 ms/);
    }
    await closing;
  }));
});
