import { assert, assertEquals } from "@std/assert";
import { assertRepeats, assertSame, type Bench, idsOf, type Life, type ProcessContract } from "./_bench.ts";
import { Counted } from "./_counted.ts";
import type { Process } from "./_processes.ts";

const SEED = 20_260_801;

/** Pseudorandom numbers from 0 to 1, the same for the same seed. */
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

/** Processes that an event or a signal kills. */
export const deaths: readonly ProcessContract[] = [
  {
    numbers: [23],
    title: "subscribe() gives up an event that always kills its process, and none of the 499 others",
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
      // The process is started again after each death: the event kills it twice among others, then twice in exclusive delivery.
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
      // An exclusive delivery is settled before the next one starts, so none is repeated.
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
    title:
      "subscribe() loses none of 2,000 events, and repeats only those in flight, when processes are killed at any moment",
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
        // Every third one may die before its first event, perhaps while it joins the group.
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

      // The last unsettled batch, and one more for a busy machine.
      assertRepeats(lives, 2 * role.prefetch);
      assertSame([...new Set(lives.flatMap(({ ended }) => ended))], idsOf(published));
      assertEquals(published.length, 2_000);
      assertEquals(survivor.said("leaselost"), []);
    },
  },
];
