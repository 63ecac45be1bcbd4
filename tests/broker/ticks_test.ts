// Guarantee 50: the ticks of cron patterns, daylight saving included.

import { assertEquals } from "@std/assert";
import { ticksOf } from "../../src/broker/repeating/_ticks.ts";
import type { ScheduleRule } from "../../src/broker/options.ts";

async function after(rule: ScheduleRule, from: string, count: number): Promise<string[]> {
  const ticks = await ticksOf("test", rule, Date.parse(from));
  const times: string[] = [];
  for (let ms = Date.parse(from); times.length < count; times.push(new Date(ms).toISOString().slice(0, 16))) {
    ms = ticks.after(ms)!;
  }
  return times;
}

const berlin = (cron: string): ScheduleRule => ({ cron, timezone: "Europe/Berlin" });

Deno.test("a daily tick comes once on the day that has no such time, after the gap", async () => {
  assertEquals(await after(berlin("30 2 * * *"), "2026-03-28T00:00:00Z", 3), [
    "2026-03-28T01:30",
    "2026-03-29T01:00",
    "2026-03-30T00:30",
  ]);
});

Deno.test("a daily tick comes once on the day that has its time twice", async () => {
  assertEquals(await after(berlin("30 2 * * *"), "2026-10-24T00:00:00Z", 3), [
    "2026-10-24T00:30",
    "2026-10-25T00:30",
    "2026-10-26T01:30",
  ]);
});

Deno.test("an hourly tick comes each hour when the clocks change", async () => {
  for (const day of ["2026-03-28", "2026-10-24"]) {
    const times = await after(berlin("0 * * * *"), `${day}T22:30:00Z`, 6);
    const hours = times.map((time) => Date.parse(`${time}Z`) / 3_600_000);
    assertEquals(hours, hours.map((_, nth) => hours[0]! + nth), day);
  }
});

Deno.test("a pattern without a time zone is in UTC, whatever the zone of the machine is", async () => {
  assertEquals(await after({ cron: "0 9 * * 1-5" }, "2026-07-03T12:00:00Z", 2), [
    "2026-07-06T09:00",
    "2026-07-07T09:00",
  ]);
});

Deno.test("before() finds the last tick at or before a time", async () => {
  const start = Date.parse("2026-01-01T00:00:00Z");
  const daily = await ticksOf("test", { cron: "0 9 * * *" }, start);
  assertEquals(daily.before(Date.parse("2026-01-05T09:00:00Z")), Date.parse("2026-01-05T09:00:00Z"));
  assertEquals(daily.before(Date.parse("2026-01-05T08:59:59.999Z")), Date.parse("2026-01-04T09:00:00Z"));
  const every = await ticksOf("test", { every: 1_000 }, start);
  assertEquals([every.before(start + 2_999), every.before(start + 3_000)], [start + 2_000, start + 3_000]);
  assertEquals([every.after(start), every.after(start + 1_000), every.after(start + 1_001)], [
    start + 1_000,
    start + 2_000,
    start + 2_000,
  ]);
});
