import { assert, assertEquals } from "@std/assert";
import { assertRepeats, assertSame, type Bench, idsOf, type Life, type ProcessContract } from "./_bench.ts";
import { Counted } from "./_counted.ts";
import type { Process } from "./_processes.ts";

const SEED = 20_260_801;

/** Numbers from 0 to 1 that are the same in every run. */
function* randoms(seed: number): Generator<number, never> {
  for (let state = seed;;) {
    state = state + 0x6d2b79f5 | 0;
    let mixed = Math.imul(state ^ state >>> 15, 1 | state);
    mixed = mixed + Math.imul(mixed ^ mixed >>> 7, 61 | mixed) ^ mixed;
    yield ((mixed ^ mixed >>> 14) >>> 0) / 2 ** 32;
  }
}

async function lifeOf(process: Process, bench: Bench): Promise<Life> {
  return { started: process.ids("started"), ended: process.ids("ended"), held: await bench.heldBy(process) };
}

/** Processes that die of what they do, and of what happens to them. */
export const deaths: readonly ProcessContract[] = [
  {
    numbers: [23],
    title: "an event that kills its process every time is given up, and none of the 499 around it",
    async body(bench) {
      const events = await bench.publish(500);
      const killer = events[250]!;
      const role = {
        name: "consume",
        group: "group",
        lease: 300,
        prefetch: 500,
        concurrency: 10,
        takes: 1,
        retry: { maxAttempts: 2 },
        deadly: 250,
      } as const;
      // Somebody starts it again whenever it dies: twice among the others, then twice alone.
      const processes: Process[] = [];
      const lives: Life[] = [];
      for (let death = 0; death < 4; death++) {
        const process = bench.start(role);
        assertEquals((await process.ended).code, 9);
        assertEquals(process.ids("started").at(-1), killer.id);
        processes.push(process);
        lives.push(await lifeOf(process, bench));
      }
      const survivor = bench.start(role);
      await survivor.wait("deadletter");
      await bench.settled(1);
      await survivor.end();
      processes.push(survivor);
      lives.push(await lifeOf(survivor, bench));

      assertRepeats(lives, 500);
      assertSame([...new Set(lives.flatMap(({ ended }) => ended))], idsOf(events.filter((event) => event !== killer)));
      // What runs alone is settled before the next one starts: of that nothing comes again.
      const alone = lives.slice(2).flatMap(({ started }) => started).filter((id) => id !== killer.id);
      assertSame(alone, [...new Set(alone)]);
      const deaths = processes.flatMap((process) => process.said("started").filter(({ id }) => id === killer.id));
      assertEquals(deaths.map(({ attempt, recovered }) => [attempt, recovered]), [[1, 0], [1, 1], [1, 2], [2, 3]]);
      for (const { id, attempt } of processes.flatMap((process) => process.said("started"))) {
        assert(id === killer.id || attempt === 1);
      }
      const letters = await Array.fromAsync(bench.broker.deadLetters(Counted, { group: "group" }));
      assertEquals(letters.map(({ event, reason, attempts }) => [event?.id, reason, attempts]), [[
        killer.id,
        "died",
        2,
      ]]);
    },
  },

  {
    numbers: [6, 8],
    title: "processes that are killed at any moment lose nothing of 2,000 events, and repeat only what was in flight",
    async body(bench) {
      const random = randoms(SEED);
      const published: Counted[] = [];
      const publishing = (async () => {
        for (let from = 0; from < 2_000; from += 20) {
          published.push(...await bench.publish(20, from));
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
      })();
      const role = {
        name: "consume",
        group: "group",
        lease: 300,
        prefetch: 50,
        concurrency: 5,
        takes: 3,
        retry: { maxAttempts: 1_000 },
      } as const;
      const lives: Life[] = [];
      for (let death = 0; death < 9; death++) {
        const process = bench.start(role);
        // Every third one dies before it has got anything, perhaps while it joins.
        if (death % 3 < 2) await process.wait("started", 1 + Math.floor(200 * random.next().value ** 2));
        await new Promise((resolve) => setTimeout(resolve, (death % 3 < 2 ? 10 : 100) * random.next().value));
        await process.kill();
        lives.push(await lifeOf(process, bench));
      }
      const survivor = bench.start(role);
      await survivor.wait("ready");
      await publishing;
      await bench.settled();
      await survivor.end();
      lives.push(await lifeOf(survivor, bench));

      // The last unsettled batch, and another one for a busy machine.
      assertRepeats(lives, 2 * role.prefetch);
      assertSame([...new Set(lives.flatMap(({ ended }) => ended))], idsOf(published));
      assertEquals(published.length, 2_000);
      assertEquals(survivor.said("leaselost"), []);
    },
  },
];
