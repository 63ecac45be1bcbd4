import { assert, assertEquals } from "@std/assert";
import { assertSame, idsOf, type ProcessContract } from "./_bench.ts";
import { Counted } from "./_counted.ts";
import { until } from "./_processes.ts";

/** Processes without faults, and how they end. */
export const flow: readonly ProcessContract[] = [
  {
    numbers: [2, 16],
    title: "subscribe() handles 5,000 events of two publishers once in each group when groups have two processes",
    async body(bench) {
      const groups = ["one", "other"].map((group) =>
        [1, 2].map(() => bench.start({ name: "consume", group, concurrency: 4 }))
      );
      const consumers = groups.flat();
      await Promise.all(consumers.map((consumer) => consumer.wait("ready")));
      const publishers = [0, 10_000].map((from) => bench.start({ name: "publish", count: 2_500, from }));
      for (const publisher of publishers) assertEquals((await publisher.ended).code, 0);
      const published = await Array.fromAsync(bench.broker.history(Counted));
      assertEquals(published.length, 5_000);
      for (const [group, processes] of groups.entries()) {
        const started = () => processes.reduce((sum, process) => sum + process.said("ended").length, 0);
        await until(() => started() >= 5_000, () => `5,000 events are handled: ${started()} of group ${group} are`);
      }
      await Promise.all(consumers.map((consumer) => consumer.end()));

      for (const from of [0, 10_000]) {
        const numbers = published.map(({ detail }) => detail.n).filter((n) => n >= from && n < from + 2_500);
        assertEquals(numbers, Array.from({ length: 2_500 }, (_, i) => from + i), "A publisher's order is kept");
      }
      for (const processes of groups) {
        assertSame(processes.flatMap((process) => process.ids("started")), idsOf(published));
        for (const process of processes) {
          assert(process.said("started").every(({ attempt, recovered }) => attempt === 1 && recovered === 0));
        }
      }
    },
  },

  {
    numbers: [33],
    title: "addEventListener() hears each later event once, in order, when other processes publish",
    async body(bench) {
      await bench.publish(10);
      const listener = bench.start({ name: "listen" });
      await listener.wait("ready");
      const before = (await Array.fromAsync(bench.broker.history(Counted))).slice(0, 10);
      const publisher = bench.start({ name: "publish", count: 300, from: 1_000 });
      for (let from = 10; from < 310; from += 30) await bench.publish(30, from);
      assertEquals((await publisher.ended).code, 0);
      const [last] = await bench.publish(1, 5_000);
      await until(() => listener.ids("heard").includes(last!.id), () => "the last event is heard");
      await listener.tell();
      assertEquals((await listener.ended).code, 0);
      const published = await Array.fromAsync(bench.broker.history(Counted, { after: before.at(-1)!.position! }));
      assertEquals(published.length, 602);
      assertSame(listener.ids("heard"), idsOf(published));
      assertEquals(listener.ids("heard"), idsOf(published));
    },
  },

  {
    numbers: [32],
    title: "close() finishes running handlers and releases the other deliveries at once when a process is terminated",
    async body(bench) {
      const events = await bench.publish(10);
      const role = { name: "consume", group: "group", prefetch: 10, concurrency: 2 } as const;
      const leaving = bench.start({ ...role, gated: true });
      await leaving.wait("started", 2);
      assertEquals(await bench.heldBy(leaving), 10);
      const other = bench.start(role);
      await other.wait("ready");
      leaving.terminate();
      const told = performance.now();
      await other.wait("ended", 8);
      const took = performance.now() - told;
      // Long before the lease of 30 s expires, and before the handlers end.
      assert(took < 4_000, `Released after ${took} ms`);
      assertEquals(leaving.said("ended"), []);
      await leaving.tell();
      assertEquals((await leaving.ended).code, 0);
      await bench.settled();
      assertEquals((await bench.group()).consumers.length, 1);
      await other.end();
      assertSame(leaving.ids("ended"), idsOf(events.slice(0, 2)));
      assertSame(leaving.ids("started"), idsOf(events.slice(0, 2)));
      assertSame(other.ids("started"), idsOf(events.slice(2)));
      for (const { attempt, recovered } of other.said("started")) assertEquals([attempt, recovered], [1, 0]);
      assertEquals([...leaving.said("aborted"), ...other.said("recovered")], []);
    },
  },

  {
    numbers: [32],
    title: "close() lets the process end when every feature was used",
    async body(bench) {
      const visitor = bench.start({ name: "visit" });
      await visitor.wait("closed");
      const closedAt = performance.now();
      assertEquals((await visitor.ended).code, 0);
      const took = performance.now() - closedAt;
      assert(took < 2_500, `It ended ${took} ms after close()`);
      assertEquals(visitor.said("refused"), []);
      for (const group of ["visitors", "pullers"]) assertEquals((await bench.group(group)).consumers, []);
    },
  },
];
