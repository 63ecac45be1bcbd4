// Guarantee 35: every store behaves like one model, for random sequences of commands.
import fc from "fast-check";
import { InMemoryStore } from "../../src/memory/in_memory_store.ts";
import { SqliteStore } from "../../src/sqlite/mod.ts";
import { commands } from "./_commands.ts";
import { type Leeway, type Open, Run } from "./_model_run.ts";

/** Runs random commands on a store and on the model. A failure shows the seed and the path that repeat it. */
async function assertAgrees(open: Open, sizeOf: Leeway["sizeOf"], numRuns: number): Promise<void> {
  await fc.assert(
    fc.asyncProperty(commands, async (commands) => {
      const run = await Run.open(open, { sizeOf });
      try {
        await run.all(commands);
      } finally {
        await run.close();
      }
    }),
    { numRuns },
  );
}

Deno.test("InMemoryStore: agrees with the model after each command of a random sequence", async () => {
  await assertAgrees(
    (now) => {
      const name = crypto.randomUUID();
      return Promise.resolve([new InMemoryStore({ name, now }), new InMemoryStore({ name, now })]);
    },
    (fields) => fields.join("").length,
    200,
  );
});

Deno.test("SqliteStore: agrees with the model after each command of a random sequence", async () => {
  const directory = await Deno.makeTempDir();
  let files = 0;
  try {
    await assertAgrees(
      (now) => {
        const path = `${directory}/${++files}.db`;
        const open = () => SqliteStore.open(path, { now });
        return open().then(async (first) => [first, await open()]);
      },
      (fields) => JSON.stringify(fields).length,
      60,
    );
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
