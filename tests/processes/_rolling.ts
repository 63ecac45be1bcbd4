import { assert, assertEquals } from "@std/assert";
import { assertSame, type Bench, type ProcessContract } from "./_bench.ts";
import { type Process, until } from "./_processes.ts";

const CONSUMING = { name: "consume", group: "group", concurrency: 4, prefetch: 50 } as const;

/** Waits until the group has deferred `count` events for version 2. */
async function deferred(bench: Bench, count: number): Promise<void> {
  const waiting = async () => (await bench.group()).deferred.find(({ version }) => version === 2)?.pending ?? 0;
  await until(async () => await waiting() === count, () => `${count} events are deferred`);
}

/** Starts a process that publishes events, and waits until it has ended. */
async function published(bench: Bench, count: number, from: number, next: boolean): Promise<void> {
  assertEquals((await bench.start({ name: "publish", count, from, next }).ended).code, 0);
}

/** Processes of two releases side by side. */
export const rolling: readonly ProcessContract[] = [
  {
    numbers: [24],
    title: "subscribe() defers events of a newer version until a consumer that knows it starts",
    async body(bench) {
      const old = [1, 2].map(() => bench.start(CONSUMING));
      await Promise.all(old.map((process) => process.wait("ready")));
      await Promise.all([published(bench, 200, 0, false), published(bench, 300, 1_000, true)]);
      await deferred(bench, 300);
      await until(
        () => old.flatMap((process) => process.said("ended")).length === 200,
        () => "the events of version 1 are handled",
      );
      await until(
        () => old.flatMap((process) => process.said("deferred")).length === 300,
        () => "the old consumers report deferred events",
      );
      const current = bench.start({ ...CONSUMING, next: true });
      await current.wait("ended", 300);
      await bench.settled();
      assertEquals((await bench.group()).deferred, []);
      assertNumbers(old, 0, 200);
      assertNumbers([current], 1_000, 300);
      for (const process of [...old, current]) await process.end();
    },
  },

  {
    numbers: [24],
    title: "subscribe() handles each event once when two consumers and two publishers are replaced one by one",
    async body(bench) {
      const first = [1, 2].map(() => bench.start(CONSUMING));
      await Promise.all(first.map((process) => process.wait("ready")));
      await published(bench, 200, 0, false);
      // One publisher is replaced first, and the other one is still old.
      await Promise.all([published(bench, 200, 1_000, true), published(bench, 200, 2_000, false)]);
      await deferred(bench, 200);
      await first[0]!.end();
      const third = bench.start({ ...CONSUMING, next: true });
      await third.wait("ready");
      // One old and one new consumer, one old and one new publisher.
      await Promise.all([published(bench, 200, 3_000, true), published(bench, 200, 4_000, false)]);
      await bench.settled();
      await first[1]!.end();
      const fourth = bench.start({ ...CONSUMING, next: true });
      await fourth.wait("ready");
      // The last old publisher: its events are upcast.
      await published(bench, 200, 5_000, false);
      await bench.settled();
      const [before, after] = [first, [third, fourth]];
      for (const process of after) await process.end();
      assertEquals((await bench.group()).deferred, []);

      const numbers = [...before, ...after].flatMap(numbersOf).sort((a, b) => a - b);
      const all = [0, 1_000, 2_000, 3_000, 4_000, 5_000].flatMap((from) =>
        Array.from({ length: 200 }, (_, i) => from + i)
      );
      assertEquals(numbers, all);
      const ids = [...before, ...after].flatMap((process) => process.ids("started"));
      assertSame(ids, [...new Set(ids)]);
      const newer = (n: number) => Math.floor(n / 1_000) % 2 === 1 && n < 5_000;
      assertEquals(before.flatMap(numbersOf).filter(newer), []);
      assertEquals(after.flatMap(numbersOf).filter((n) => n >= 5_000).length, 200);
      for (const { detail, attempt, recovered } of [...before, ...after].flatMap((it) => it.said("started"))) {
        assertEquals([attempt, recovered], [1, 0], `of event ${detail!.n}`);
      }
      for (const { detail } of before.flatMap((it) => it.said("started"))) assertEquals(detail!.twice, undefined);
      for (const { detail } of after.flatMap((it) => it.said("started"))) assertEquals(detail!.twice, 2 * detail!.n);
      assert(before[1]!.said("deferred").length > 0, "the old consumer deferred new events to the end");
    },
  },
];

function numbersOf(process: Process): number[] {
  return process.said("started").map(({ detail }) => detail!.n);
}

/** Asserts that these processes have handled the events `from` to `from + count - 1` once each. */
function assertNumbers(processes: readonly Process[], from: number, count: number): void {
  const numbers = processes.flatMap(numbersOf).sort((a, b) => a - b);
  assertEquals(numbers, Array.from({ length: count }, (_, i) => from + i));
}
