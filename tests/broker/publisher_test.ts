import { defineEvent } from "@tidings/broker";
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { EventCodecs } from "../../src/broker/codec/_event_codecs.ts";
import { PublishQueue } from "../../src/broker/publishing/_publish_queue.ts";
import { Publisher } from "../../src/broker/publishing/_publisher.ts";
import { BrokerClosedError, UncertainPublishError } from "../../src/broker/mod.ts";
import { InMemoryStore } from "../../src/memory/mod.ts";
import type { EventStore } from "../../src/store/mod.ts";
import { PausableSchema } from "../../src/testing/_schemas.ts";

// The calls may meet at any microtask: the leak check finds a timer that a late publish leaves behind.
Deno.test("Publisher.close() rejects a publish that is prepared at that moment, or stores it", async () => {
  let [stored, rejected] = [0, 0];
  for (let turns = 0; turns < 40; turns++) {
    const validation = new PausableSchema().hold(0);
    class Asked extends defineEvent("Asked", { schema: validation.schema }) {}
    const store = new InMemoryStore();
    let closed = false;
    const append: EventStore["append"] = (...args) => {
      assert(!closed, "The publisher uses the store after close()");
      return store.append(...args);
    };
    const publisher = new Publisher({
      store: { append } as Partial<EventStore> as EventStore,
      codecs: new EventCodecs([Asked], "events", undefined),
      publishTimeout: 60_000,
      queue: new PublishQueue(10, 1_000),
      retrying: () => {},
      appended: () => {},
      scheduled: () => {},
    });
    const outcome = publisher.publish(new Asked({ n: 0 }), undefined).then(() => "stored", (error) => error);
    await validation.started(0);
    validation.release(0);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await publisher.close(0);
    closed = true;
    const result = await outcome;
    const { length } = await store.admin("events:Asked").info();
    if (result === "stored") stored++;
    else rejected++;
    if (result instanceof UncertainPublishError) {
      assertStringIncludes(result.message, "the broker closed before the reply came; look for the ids in the history");
    } else {
      assert(result === "stored" || result instanceof BrokerClosedError, String(result));
      assertEquals([turns, length], [turns, result === "stored" ? 1 : 0]);
    }
    await store[Symbol.asyncDispose]();
  }
  assert(stored > 0 && rejected > 0, `${stored} were stored, ${rejected} were rejected`);
});
