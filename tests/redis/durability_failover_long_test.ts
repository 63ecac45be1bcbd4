// What replication can lose, and what `redis.durability` makes of that.

import { assert, assertEquals, assertMatch } from "@std/assert";
import { UncertainPublishError } from "@tidings/broker";
import { eventually } from "./_cluster.ts";
import { counted, idsOn, openBroker, Pair } from "./_pair.ts";

Deno.test("publish() to Redis is answered for events that a failover loses, unless it waits for replicas", async () => {
  const cases = [[undefined, 500], [{ replicas: 1, timeout: 200 }, 0]] as const;
  await Promise.all(cases.map(async ([durability, lost]) => {
    await using pair = await Pair.start();
    const broker = await openBroker(pair.master, durability ? { durability } : {});
    const [early, late] = [counted(300), counted(500)];
    await broker.publish(early);
    // Without waiting for replicas it may still be on its way.
    await eventually(async () => await pair.replica.cli("XLEN", "events:Counted") === "300");
    await pair.freeze();
    const results = await Promise.allSettled(late.map((event) => broker.publish(event)));
    const refusals = results.flatMap((result) => result.status === "rejected" ? [result.reason] : []);
    const answered = [...early, ...late.filter((_, nth) => results[nth]!.status === "fulfilled")].map(({ id }) => id);
    // It goes on asking about what is in doubt, for as long as closing may take.
    const closing = broker.close();

    const there = await idsOn(await pair.failover());
    assertEquals(there, early.map(({ id }) => id));
    assertEquals(answered.filter((id) => !there.includes(id)).length, lost);
    assertEquals(refusals.length, 500 - lost);
    for (const error of refusals) {
      assert(error instanceof UncertainPublishError, Deno.inspect(error));
      assertMatch(error.message, /0 of 1 replicas have it after 200 ms/);
    }
    await closing;
  }));
});
