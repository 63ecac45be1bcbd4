import { connect, defineEvent } from "@tidings/broker";
import { assert, assertEquals, assertRejects } from "@std/assert";

class Counted extends defineEvent("Counted")<{ n: number }> {}

Deno.test("connect() rejects with the signal's reason when the signal aborts while the store is opened", async () => {
  const directory = await Deno.makeTempDir({ prefix: "tidings-" });
  for (const url of ["memory:", `sqlite:${directory}/events.db`]) {
    const controller = new AbortController();
    const connecting = connect(url, { events: [Counted], signal: controller.signal });
    const reason = new Error("enough");
    controller.abort(reason);
    assert(await assertRejects(() => connecting) === reason, url);
  }
  // The store was disposed: nothing keeps its file from being opened again.
  await using broker = await connect(`sqlite:${directory}/events.db`, { events: [Counted] });
  assertEquals((await broker.info(Counted)).length, 0);
  await Deno.remove(directory, { recursive: true });
});

Deno.test("connect() refuses a signal that is no AbortSignal before it opens a store", async () => {
  const signal = new AbortController() as unknown as AbortSignal;
  for (const url of ["memory:", "sqlite:/no/such/directory/events.db", "redis://127.0.0.1:1"]) {
    const connecting = connect(url, { events: [Counted], signal });
    await assertRejects(() => connecting, TypeError, "Cannot use an AbortController as signal: give an AbortSignal");
  }
});
