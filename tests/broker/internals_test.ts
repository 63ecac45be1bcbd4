import { assert, assertEquals } from "@std/assert";
import { backoff } from "../../src/broker/_store_retry.ts";
import { Deadlines } from "../../src/broker/consuming/jobs/_deadlines.ts";
import { errorRecord } from "../../src/broker/consuming/jobs/_outcomes.ts";
import { Fifo } from "../../src/store/_fifo.ts";
import { subscribeSettings } from "../../src/broker/consuming/jobs/_consumer_settings.ts";
import { IdleWaits } from "../../src/broker/operating/_idle.ts";
import type { StreamAdmin, StreamState } from "../../src/store/mod.ts";
import { ByteWindow } from "../../src/broker/consuming/windows/_byte_window.ts";
import { PrefetchWindow } from "../../src/broker/consuming/windows/_prefetch_window.ts";
import { SharedWindow } from "../../src/broker/consuming/windows/_shared_window.ts";

const settings = (options: { concurrency?: number; prefetch?: number; key?: () => string }) =>
  subscribeSettings({ group: "group", ...options });

/** Replaces `performance.now` until it is disposed. */
function clockOf(now: () => number): Disposable {
  const original = performance.now;
  performance.now = now;
  return { [Symbol.dispose]: () => void (performance.now = original) };
}

Deno.test("Fifo returns items in the order in which they were added", () => {
  const fifo = new Fifo<number>();
  let next = 0;
  let expected = 0;
  for (let round = 0; round < 200; round++) {
    for (let i = 0; i < 1 + round % 50; i++) fifo.push(next++);
    for (let i = 0; i < round % 47 && fifo.length > 0; i++) {
      assertEquals(fifo.peek(), expected);
      assertEquals(fifo.shift(), expected++);
    }
    assertEquals(fifo.length, next - expected);
  }
  assertEquals(fifo.drain(), Array.from({ length: next - expected }, (_, i) => expected + i));
  assertEquals([fifo.length, fifo.peek(), fifo.shift()], [0, undefined, undefined]);
});

Deno.test("Fifo removes a million items quickly", () => {
  const fifo = new Fifo<number>();
  for (let i = 0; i < 1_000_000; i++) fifo.push(i);
  const start = performance.now();
  for (let i = 0; i < 1_000_000; i++) assert(fifo.shift() === i);
  assert(performance.now() - start < 5_000);
});

Deno.test("backoff() grows up to its limit, and jitter only shortens it", () => {
  const exact = { minTimeout: 100, maxTimeout: 1_000, multiplier: 3, jitter: 0 };
  assertEquals([1, 2, 3, 4, 5_000].map((attempt) => backoff(exact, attempt)), [100, 300, 900, 1_000, 1_000]);
  for (const jitter of [0.25, 1]) {
    const delays = Array.from({ length: 500 }, () => backoff({ ...exact, jitter }, 2));
    assert(delays.every((delay) => delay >= 300 * (1 - jitter) && delay <= 300));
    assert(new Set(delays).size > 20);
    assert(Math.min(...delays) < 300 * (1 - jitter * 0.9) && Math.max(...delays) > 300 * (1 - jitter * 0.1));
  }
});

Deno.test("subscribeSettings() raises the default of retry.maxTimeout to a longer minTimeout", () => {
  const settingsOf = (minTimeout: number) => subscribeSettings({ group: "group", retry: { minTimeout } }).retry;
  assertEquals([settingsOf(50).maxTimeout, settingsOf(120_000).maxTimeout], [60_000, 120_000]);
});

Deno.test("Deadlines expire in order by one timer, and not before their time", async () => {
  const expired: [number, number][] = [];
  const start = performance.now();
  const deadlines = new Deadlines<number>(20, (item) => expired.push([item, performance.now() - start]));
  deadlines.add(1);
  await new Promise((resolve) => setTimeout(resolve, 10));
  deadlines.add(2);
  while (expired.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  assertEquals(expired.map(([item]) => item), [1, 2]);
  assert(expired[0]![1] >= 20 && expired[1]![1] >= 29, `${expired}`);
  deadlines.add(3);
  deadlines.clear();
});

Deno.test("Deadlines need no timer when the timeout is infinite", () => {
  new Deadlines<number>(Infinity, () => {}).add(1);
});

Deno.test("PrefetchWindow of a given prefetch is refilled when half is free, or when handlers are idle", () => {
  const window = new PrefetchWindow(settings({ concurrency: 4, prefetch: 20 }));
  assertEquals(window.room(0, 0), 20);
  assertEquals(window.room(20, 4), 0);
  assertEquals(window.room(11, 4), 0);
  assertEquals(window.room(10, 4), 10);
  assertEquals(window.room(19, 3), 1);
  assertEquals(window.room(20, 0), 0);
});

Deno.test("PrefetchWindow grows while handlers are fast, and shrinks when they are slow", () => {
  let time = 0;
  using _clock = clockOf(() => time);
  const window = new PrefetchWindow(settings({ concurrency: 2 }));
  assertEquals(window.room(0, 0), 2);
  const work = (count: number) => {
    window.claimed();
    for (let open = count; open > 0; open--) window.done(open - 1);
  };
  for (let round = 0; round < 12; round++) work(window.room(0, 0));
  assertEquals(window.room(0, 0), 1_000);
  for (let round = 0; round < 3; round++) {
    const size = window.room(0, 0);
    window.claimed();
    time += 210;
    for (let open = size; open > 0; open--) window.done(open - 1);
    assertEquals(window.room(0, 0), size >> 1);
  }
});

Deno.test("PrefetchWindow with keys or a given prefetch keeps its size", () => {
  for (const options of [{ key: () => "", concurrency: 2 }, { prefetch: 128, concurrency: 1 }]) {
    const window = new PrefetchWindow(settings(options));
    for (let round = 0; round < 10; round++) {
      window.claimed();
      for (let open = 128; open > 0; open--) window.done(open - 1);
    }
    assertEquals(window.room(0, 0), 128);
  }
});

/** Records of these sizes, in characters. */
const records = (...sizes: number[]) => sizes.map((size) => ({ position: "1-0" as const, fields: ["x".repeat(size)] }));

Deno.test("SharedWindow bounds what all hold together, and keeps a part for each", () => {
  const window = new SharedWindow(80);
  const [busy, idle, other] = [window.join(), window.join(), window.join()];
  // Of 80, half is divided: 13 for each.
  assertEquals(busy.room(), 80 - 2 * 13);
  busy.add(54);
  assertEquals([busy.room(), idle.room(), other.room()], [0, 13, 13]);
  idle.add(13);
  other.add(13);
  assertEquals([busy.room(), idle.room(), other.room()], [0, 0, 0]);
  busy.add(-30);
  assertEquals([busy.room(), idle.room()], [30, 30]);
  other.leave();
  // Of two, each may always hold 20.
  assertEquals([busy.room(), idle.room()], [80 - 24 - 20, 80 - 24 - 13]);
  other.add(-13);
  assertEquals(busy.room(), 36);
});

Deno.test("SharedWindow lets each hold one, whatever their number, and tells those that wait", () => {
  const window = new SharedWindow(2);
  let told = 0;
  const shares = Array.from({ length: 4 }, () => window.join(() => told++));
  for (const share of shares) {
    assertEquals(share.room() >= 1, true);
    share.add(1);
    assertEquals(share.room() <= 0, true);
    share.wait();
  }
  assertEquals(told, 0);
  shares[0]!.add(-1);
  assertEquals(told, 4);
  shares[1]!.add(-1);
  assertEquals(told, 4);
});

Deno.test("ByteWindow asks for as many entries as fit by the largest one of the last claims", () => {
  const window = new ByteWindow(1_000);
  // No size is known: an entry of 16 MiB would fit alone.
  assertEquals([window.room(true), window.probed], [1, false]);
  window.claimed(records(100));
  assertEquals([window.room(true), window.probed], [9, true]);
  window.claimed(records(...Array<number>(9).fill(10)));
  assertEquals([window.room(true), window.probed], [16, false]);
  window.claimed(records(10));
  assertEquals(window.room(true), 32);
  window.claimed(records(800));
  assertEquals(window.room(true), 0);
  window.closed(800);
  assertEquals(window.room(true), 1);
});

Deno.test("ByteWindow is refilled when half is free, or when handlers are idle, and holds any entry alone", () => {
  const window = new ByteWindow(1_000);
  window.claimed(records(100));
  window.claimed(records(...Array<number>(5).fill(100)));
  assertEquals([window.room(false), window.room(true)], [0, 4]);
  window.closed(100);
  assertEquals([window.room(false), window.room(true)], [5, 5]);
  for (let closed = 0; closed < 5; closed++) window.closed(100);
  window.claimed(records(5_000));
  assertEquals([window.room(false), window.room(true)], [0, 0]);
  window.closed(5_000);
  assertEquals(window.room(false), 1);
  const open = new ByteWindow(Infinity);
  assertEquals(open.room(false), Infinity);
});

Deno.test("errorRecord() keeps name, message, stack and issues of a thrown value", () => {
  const error = new RangeError("why");
  assertEquals(errorRecord(error), { name: "RangeError", message: "why", stack: error.stack! });
  assertEquals(errorRecord("text"), { name: "Error", message: "text" });
  for (const thrown of [undefined, null, 5n, Symbol("s"), Object.create(null), () => {}]) {
    const { name, message } = errorRecord(thrown);
    assertEquals([name, typeof message], ["Error", "string"]);
  }
});

Deno.test("idle() asks again soon when a delivery was settled while the store was asked", async () => {
  let asked = 0;
  const group = { name: "group", lag: 0, deferred: [], held: { keys: 0, waiting: 0 } };
  const info = () => {
    if (++asked === 1) queueMicrotask(() => waits.noted());
    return Promise.resolve({ groups: [{ ...group, pending: asked === 1 ? 1 : 0 }] } as unknown as StreamState);
  };
  const waits = new IdleWaits({
    admin: () => Promise.resolve({ info } as Partial<StreamAdmin> as StreamAdmin),
    closing: new AbortController().signal,
    groupsOf: () => [],
    enclosing: () => undefined,
    retrying: () => {},
  });
  using timers = recordedTimers();
  await waits.wait(["events:Tick"], { group: "group" });
  assertEquals([asked, timers.delays], [2, [20]]);
});

/** Records the delays of all timers until it is disposed. */
function recordedTimers(): Disposable & { readonly delays: number[] } {
  const original = globalThis.setTimeout;
  const delays: number[] = [];
  globalThis.setTimeout = ((callback: () => void, delay: number) => {
    delays.push(delay);
    return original(callback, delay);
  }) as typeof setTimeout;
  return { delays, [Symbol.dispose]: () => void (globalThis.setTimeout = original) };
}
