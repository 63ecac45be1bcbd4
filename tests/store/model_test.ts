import fc from "fast-check";
import { InMemoryStore } from "../../src/memory/in_memory_store.ts";
import type { EventStore } from "../../src/store/mod.ts";
import { commands, Run } from "./_model_run.ts";

/** Runs random commands against the model; a failure shows the seed and path to run it again with. */
async function assertAgrees(open: (now: () => number) => readonly EventStore[], numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(commands, async (commands) => {
      const run = new Run(open);
      try {
        await run.all(commands);
      } finally {
        await run.close();
      }
    }),
    { numRuns },
  );
}

Deno.test("InMemoryStore: does what the model does, whatever the order of commands", async () => {
  await assertAgrees((now) => {
    const name = crypto.randomUUID();
    return [new InMemoryStore({ name, now }), new InMemoryStore({ name, now })];
  }, 300);
});
