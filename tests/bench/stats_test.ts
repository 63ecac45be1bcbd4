import { assertEquals } from "@std/assert";
import { detailsOf, indexOf } from "../../bench/_detail.ts";
import { paced, rolling, windows } from "../../bench/_load.ts";
import { latencies, median, medianRatio, medians, quantile } from "../../bench/_stats.ts";
import { plot } from "../../bench/growth/_plot.ts";

Deno.test("median() and quantile() interpolate between values", () => {
  assertEquals(median([3, 1, 2]), 2);
  assertEquals(median([4, 1, 2, 3]), 2.5);
  assertEquals(quantile([0, 10], 0.99), 9.9);
  assertEquals(latencies([1, 2, 3]), { p50: 2, p99: 2.98, max: 3 });
});

Deno.test("medianRatio() is the median of the ratios of each round, not the ratio of the medians", () => {
  const ours = [{ perSecond: 10 }, { perSecond: 30 }, { perSecond: 20 }];
  const theirs = [{ perSecond: 20 }, { perSecond: 30 }, { perSecond: 5 }];
  assertEquals(medianRatio(ours, theirs, "perSecond"), 1);
  assertEquals(medians(ours), { perSecond: 20 });
});

Deno.test("rolling() and windows() send all in order, with at most the given number in flight", async () => {
  for (const [load, most] of [[rolling, 5], [windows, 5]] as const) {
    const sent: number[] = [];
    let [inFlight, peak] = [0, 0];
    await load(23, 5, async (index) => {
      sent.push(index);
      peak = Math.max(peak, ++inFlight);
      await Promise.resolve();
      inFlight--;
    });
    assertEquals(sent, Array.from({ length: 23 }, (_, index) => index));
    assertEquals(peak, most);
  }
});

Deno.test("paced() sends all, and none before it is due", async () => {
  const start = performance.now();
  const early: number[] = [];
  let count = 0;
  await paced(20, 1_000, (index) => {
    count++;
    if (performance.now() - start < index - 1) early.push(index);
    return Promise.resolve();
  });
  assertEquals({ count, early }, { count: 20, early: [] });
});

Deno.test("detailsOf() makes JSON of the given size that contains its index", () => {
  for (const bytes of [100, 190, 2_048, 65_536]) {
    const detail = detailsOf(bytes);
    assertEquals(JSON.stringify(detail(0)).length, bytes);
    assertEquals(JSON.stringify(detail(9_999_999)).length, bytes);
    assertEquals(indexOf(detail(123)), 123);
  }
});

Deno.test("plot() draws a line through all points", () => {
  const svg = plot({
    title: "A <title>",
    x: "size",
    y: "ms",
    lines: [{ name: "one", points: [[1, 0], [10, 4], [100, 4]] }],
  });
  assertEquals(svg.match(/d="(M[^"]*L[^"]*)"/)?.[1], "M64 304L332 56L600 56");
  assertEquals(svg.match(/<circle/g)?.length, 3);
  assertEquals(svg.includes("A &lt;title>"), true);
});
