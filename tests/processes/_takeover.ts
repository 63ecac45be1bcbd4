import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { assertSame, idsOf, type ProcessContract } from "./_bench.ts";
import { until } from "./_processes.ts";

// In ms. A busy machine may stop a process for a part of it.
const LEASE = 600;

const positionsOf = (items: readonly { readonly position?: string | undefined }[]) =>
  items.map(({ position }) => position!).sort();
const twoLeasesAfter = (then: number) =>
  until(() => performance.now() >= then + 2 * LEASE, () => "two leases have passed");

/** Deliveries of a process that was killed or frozen. */
export const takeover: readonly ProcessContract[] = [
  {
    numbers: [17],
    title: "subscribe() takes over all deliveries after their lease, and counts no attempt, when a process was killed",
    async body(bench) {
      const events = await bench.publish(10);
      const role = { name: "consume", group: "group", lease: LEASE, prefetch: 10, concurrency: 3 } as const;
      const holder = bench.start({ ...role, gated: true });
      await holder.wait("started", 3);
      assertEquals(await bench.heldBy(holder), 10);
      const successor = bench.start(role);
      await successor.wait("ready");
      const killedAt = performance.now();
      await holder.kill();
      await successor.wait("started", 10);
      const took = performance.now() - killedAt;
      // The lease expires within 600 ms; the rest is for a busy machine.
      assert(took < 4_000, `Taken over after ${took} ms`);
      await bench.settled();
      assertEquals((await bench.group()).consumers.length, 1);
      await successor.end();
      assertSame(successor.ids("started"), idsOf(events));
      for (const { attempt, recovered } of successor.said("started")) assertEquals([attempt, recovered], [1, 1]);
      assertEquals(positionsOf(successor.said("recovered")), positionsOf(events));
      assertSame(holder.ids("started"), idsOf(events.slice(0, 3)));
    },
  },

  {
    numbers: [12, 19],
    title: "subscribe() settles and starts no delivery that another process took over when its process was frozen",
    async body(bench) {
      const role = { name: "consume", group: "group", lease: LEASE, prefetch: 5, concurrency: 2 } as const;
      // The first handler waits, the second one ends as soon as the process continues, and three events are buffered.
      const sleeper = bench.start({ ...role, gated: true, blocking: 1 });
      await sleeper.wait("ready");
      const events = await bench.publish(5);
      await sleeper.wait("started", 2);
      sleeper.pause();
      const pausedAt = performance.now();
      assertEquals(await bench.heldBy(sleeper), 5);
      const other = bench.start(role);
      await other.wait("ended", 5);
      await bench.settled();
      await twoLeasesAfter(pausedAt);
      assertEquals(sleeper.said("ended"), []);

      sleeper.resume();
      await sleeper.wait("leaselost", 5);
      await sleeper.wait("aborted");
      await sleeper.tell();
      await sleeper.wait("ended", 2);
      const later = await bench.publish(20, 5);
      await bench.settled();
      await Promise.all([sleeper.end(), other.end()]);
      assertEquals(positionsOf(sleeper.said("leaselost")), positionsOf(events));
      assertEquals(sleeper.said("aborted").find(({ id }) => id === events[0]!.id)?.error, "LeaseLostError");
      assertSame(sleeper.ids("started").slice(0, 2), idsOf(events.slice(0, 2)));
      assertSame(other.ids("started").slice(0, 5), idsOf(events));
      for (const { attempt, recovered } of other.said("started").slice(0, 5)) {
        assertEquals([attempt, recovered], [1, 1]);
      }
      assertSame([...sleeper.ids("started").slice(2), ...other.ids("started").slice(5)], idsOf(later));
      assertEquals([...sleeper.said("retry"), ...other.said("leaselost")], []);
    },
  },

  {
    numbers: [12, 19],
    title: "subscribe() settles nothing with an old claim when its process was frozen and got the deliveries again",
    async body(bench) {
      const role = { name: "consume", group: "group", lease: LEASE, prefetch: 5, retry: { maxAttempts: 1 } } as const;
      const sleeper = bench.start({ ...role, concurrency: 2, gated: true, blocking: 1, failing: true });
      await sleeper.wait("ready");
      const events = await bench.publish(5);
      await sleeper.wait("started", 2);
      sleeper.pause();
      const pausedAt = performance.now();
      const other = bench.start({ ...role, takes: 60_000 });
      await other.wait("started");
      assertEquals(other.said("recovered").length, 5);
      await twoLeasesAfter(pausedAt);
      await other.kill();

      sleeper.resume();
      await sleeper.wait("leaselost", 5);
      // The handler that waits still occupies one of two slots; its event comes again with the others.
      await sleeper.wait("recovered", 4);
      await sleeper.tell();
      await bench.settled();
      await sleeper.end();
      assertEquals(other.ids("started"), idsOf(events.slice(0, 1)));
      assertEquals(positionsOf(sleeper.said("leaselost")), positionsOf(events));
      assertEquals(positionsOf(sleeper.said("recovered")), positionsOf(events));
      const started = sleeper.said("started").map(({ id, attempt, recovered }) => [id, attempt, recovered]);
      assertEquals(started, [
        ...events.slice(0, 2).map(({ id }) => [id, 1, 0]),
        ...events.map(({ id }) => [id, 1, 2]),
      ]);
      assertEquals([...sleeper.said("retry"), ...sleeper.said("deadletter")], []);
    },
  },

  {
    numbers: [18],
    title: "subscribe() keeps a delivery from an idle process when its handler takes more than three leases",
    async body(bench) {
      const role = { name: "consume", group: "group", lease: LEASE } as const;
      const slow = bench.start({ ...role, takes: 3.3 * LEASE });
      await slow.wait("ready");
      const events = await bench.publish(1);
      await slow.wait("started");
      const idle = bench.start(role);
      await idle.wait("ready");
      await slow.wait("ended");
      await bench.settled();
      await Promise.all([slow.end(), idle.end()]);
      assertSame(slow.ids("started"), idsOf(events));
      assertEquals([...idle.said("started"), ...slow.said("leaselost"), ...slow.said("aborted")], []);
    },
  },

  {
    numbers: [20],
    title: "subscribe() refuses a consumer name when a live process has it, and takes over when that process is dead",
    async body(bench) {
      const events = await bench.publish(3);
      const role = { name: "consume", group: "group", consumer: "clerk", lease: LEASE, prefetch: 3 } as const;
      const first = bench.start({ ...role, gated: true });
      await first.wait("started");
      const [holder] = (await bench.group()).consumers;

      const second = bench.start(role);
      const [refused] = await second.wait("refused");
      assertEquals(refused!.error, "StoreError");
      assertStringIncludes(refused!.message!, `"clerk"`);
      assertStringIncludes(refused!.message!, holder!.name);
      assertEquals((await second.ended).code, 0);
      assertEquals((await bench.group()).consumers.map(({ name, pending }) => [name, pending]), [[holder!.name, 3]]);

      await first.kill();
      await until(
        async () => !(await bench.group()).consumers[0]!.alive,
        () => "the lease of the killed process has expired",
      );
      const successor = bench.start(role);
      await successor.wait("started", 3);
      await bench.settled();
      const consumers = (await bench.group()).consumers.map(({ name }) => name);
      assertEquals(consumers.length, 1);
      assert(consumers[0]!.startsWith("clerk.") && consumers[0] !== holder!.name);
      await successor.end();
      assertSame(successor.ids("started"), idsOf(events));
      for (const { attempt, recovered } of successor.said("started")) assertEquals([attempt, recovered], [1, 1]);
    },
  },
];
