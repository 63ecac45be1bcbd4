import { assert, assertEquals } from "@std/assert";
import { assertSame, type Bench, idsOf, type ProcessContract } from "./_bench.ts";
import { Counted } from "./_counted.ts";
import { type Process, until } from "./_processes.ts";

const group = "group";

// A pause takes effect within 100 ms. A busy machine may stop a process for longer.
const PATIENCE = 3_000;

/** How many milliseconds after `since` the last handler started. */
function lastStart(processes: readonly Process[], since: number): number {
  return Math.max(...processes.flatMap((process) => process.said("started").map(({ at }) => at! - since)));
}

async function publishUntil(bench: Bench, ended: () => boolean): Promise<void> {
  for (let n = 0; !ended(); n++) {
    await bench.broker.publish(new Counted({ n }));
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

/** Processes whose group is paused by another process. */
export const pausing: readonly ProcessContract[] = [
  {
    numbers: [51],
    title: "pause() takes effect in all processes at once, also in one that is full, and resume() goes on",
    async body(bench) {
      const processes = [
        bench.start({ name: "consume", group, concurrency: 4, takes: 5 }),
        bench.start({ name: "consume", group, prefetch: 20, takes: 30 }),
        bench.start({ name: "consume", group, concurrency: 2, takes: 1 }),
      ];
      await Promise.all(processes.map((process) => process.wait("ready")));
      let ended = false;
      const publishing = publishUntil(bench, () => ended);
      await Promise.all(processes.map((process) => process.wait("started", 20)));
      const calls: number[] = [];
      for (let round = 1; round <= 2; round++) {
        const called = Date.now();
        assertEquals(await bench.broker.pause(Counted, { group, reason: "measuring" }), true);
        await Promise.all(processes.map((process) => process.wait("pause", round)));
        // Handlers that were about to start have done so.
        await new Promise((resolve) => setTimeout(resolve, 150));
        calls.push(lastStart(processes, called));
        const count = () => processes.reduce((sum, process) => sum + process.said("started").length, 0);
        const before = count();
        await until(async () => (await bench.group()).lag > 10, () => "events wait");
        assertEquals(count(), before);
        assertEquals(await bench.broker.resume(Counted, { group }), true);
        await Promise.all(processes.map((process) => process.wait("resume", round)));
        await until(() => count() > before + 20, () => "the processes go on");
      }
      assert(calls.every((ms) => ms < PATIENCE), `handlers started ${calls.join(", ")} ms after pause()`);
      ended = true;
      await publishing;
      await bench.settled();
      const events = await Array.fromAsync(bench.broker.history(Counted));
      assertSame(processes.flatMap((process) => process.ids("started")), idsOf(events));
      for (const process of processes) {
        for (const { attempt, recovered } of process.said("started")) assertEquals([attempt, recovered], [1, 0]);
      }
      await Promise.all(processes.map((process) => process.end()));
    },
  },

  {
    numbers: [51, 17],
    title: "a process that is killed while it pauses and resumes leaves the group paused or not, and no event is lost",
    async body(bench) {
      const processes = [1, 2].map(() => bench.start({ name: "consume", group, concurrency: 2, takes: 2 }));
      await Promise.all(processes.map((process) => process.wait("ready")));
      let ended = false;
      const publishing = publishUntil(bench, () => ended);
      for (let round = 1; round <= 3; round++) {
        const toggling = bench.start({ name: "toggle" });
        await toggling.wait("ready");
        await processes[0]!.wait("pause", 2 * round);
        await toggling.kill();
        // All processes see what the store has.
        const paused = (await bench.group()).paused !== undefined;
        await until(
          () => processes.every((process) => (process.last("pause", "resume")?.kind === "pause") === paused),
          () => `all processes are ${paused ? "paused" : "going on"}`,
        );
      }
      ended = true;
      await publishing;
      await bench.broker.resume(Counted, { group });
      await bench.settled();
      const events = await Array.fromAsync(bench.broker.history(Counted));
      assertSame(processes.flatMap((process) => process.ids("started")), idsOf(events));
      await Promise.all(processes.map((process) => process.end()));
    },
  },
];
