// Guarantees 17, 18: a hundred thousand abandoned deliveries are taken over while new events keep flowing.

import { assert, assertEquals } from "@std/assert";
import { connect } from "@tidings/broker";
import { until } from "../../src/testing/_broker_bench.ts";
import { Counted } from "../processes/_counted.ts";
import { Process } from "../processes/_processes.ts";
import { openConnection } from "../redis/_bench.ts";
import { RedisServer } from "../redis/_server.ts";
import type { RecoveryRole, TakeoverMeasurement } from "./_recovery_child.ts";

const BACKLOG = 100_000;
const LEASE = 1_000;
// One new event in this many milliseconds.
const PACE = 20;
// The latency of 99 % of the new events, at most, in ms.
const BAR = 1_000;

interface Place {
  readonly url: string;
  readonly permissions: readonly string[];
  readonly server?: RedisServer;
}

const start = (place: Place, role: RecoveryRole) =>
  new Process(place.url, place.permissions, role, new URL("./_recovery_child.ts", import.meta.url));

/** Has a consumer claim the backlog, and kills it. */
async function abandon(place: Place): Promise<void> {
  await using claimer = start(place, { name: "claim", count: BACKLOG, lease: LEASE });
  await until(() => claimer.said("ready").length > 0, "the backlog is claimed", 60_000);
}

/** Has a consumer of another program, which keeps no lease, read the backlog. */
async function abandonForeign({ server }: Place): Promise<void> {
  const read = ["XREADGROUP", "GROUP", "group", "foreign", "COUNT", String(BACKLOG), "STREAMS", "events:Counted", ">"];
  await server!.cli("XGROUP", "CREATE", "events:Counted", "group", "0");
  await server!.cli(...read);
  const idle = async () => Number((await server!.cli("XINFO", "CONSUMERS", "events:Counted", "group")).split("\n")[5]);
  await until(async () => await idle() > 30_000, "the consumer counts as dead", 40_000);
}

/** Sends PING again and again; the returned function ends that and resolves with the longest time, in ms. */
function pinging(url: URL): () => Promise<number> {
  let over = false;
  const worst = (async () => {
    const connection = await openConnection(url);
    let most = 0;
    while (!over) {
      const began = performance.now();
      await connection.send(["PING"]);
      most = Math.max(most, performance.now() - began);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    connection.close();
    return most;
  })();
  return () => (over = true, worst);
}

async function measure(name: string, place: Place, leave: (place: Place) => Promise<void>): Promise<void> {
  const { server } = place;
  await using broker = await connect(place.url, { events: [Counted] });
  for (let from = 0; from < BACKLOG; from += 500) {
    await broker.publish(Array.from({ length: 500 }, (_, n) => new Counted({ n: from + n })));
  }
  await leave(place);
  await server?.cli("CONFIG", "SET", "slowlog-log-slower-than", "1000", "slowlog-max-len", "1000");
  await server?.cli("SLOWLOG", "RESET");
  const worstPing = server && pinging(server.url);

  await using successor = start(place, { name: "successor", from: BACKLOG, concurrency: 100 });
  await successor.wait("ready");
  // New events are published from before the takeover until after it.
  let published = 0;
  const ended = () => successor.said("taken over").length > 0;
  const deadline = performance.now() + 120_000;
  while (!ended() || published < 50) {
    assert(performance.now() < deadline, "The takeover takes too long");
    await broker.publish(new Counted({ n: BACKLOG + published++ }));
    await new Promise((resolve) => setTimeout(resolve, PACE));
  }
  await until(
    async () => {
      const [group] = (await broker.info(Counted)).groups;
      return group!.pending === 0 && group!.lag === 0;
    },
    "all events are settled",
    20_000,
  );
  await successor.tell();
  const [measured] = await successor.wait("measured");
  const { latencies, old, deliveries, first, last }: TakeoverMeasurement = JSON.parse(measured!.message!);
  const sorted = latencies.toSorted((a, b) => a - b);
  const p99 = sorted[Math.floor(sorted.length * 0.99)]!;
  const slow = server === undefined ? [] : await slowest(server);
  console.table([{
    store: name,
    "takeover s": (last - first) / 1_000,
    "new events": sorted.length,
    "p50 ms": sorted[sorted.length >> 1]!,
    "p99 ms": p99,
    "max ms": sorted.at(-1)!,
    ...(worstPing && { "longest ping ms": Math.round(await worstPing()), "slowest commands": slow.join(" ") }),
  }]);
  assertEquals([old, deliveries, sorted.length], [BACKLOG, BACKLOG, published], "each is handled once");
  assert(p99 < BAR, `New events were late: p99 ${p99} ms`);
}

/** The slowest commands, with their times in ms. */
async function slowest(server: RedisServer): Promise<string[]> {
  const connection = await openConnection(server.url);
  const entries = await connection.send(["SLOWLOG", "GET", "-1"]) as unknown as [number, number, number, string[]][];
  connection.close();
  return entries.toSorted(([, , a], [, , b]) => b - a).slice(0, 3)
    .map(([, , took, [command]]) => `${command} ${Math.round(took / 1_000)}`);
}

const permissions = ["--allow-net=127.0.0.1", "--allow-env", "--allow-sys", "--allow-read"];

for (const [whose, leave] of [["a killed consumer", abandon], ["a foreign consumer", abandonForeign]] as const) {
  Deno.test(`Redis: subscribe() takes over 100,000 deliveries while new events flow when ${whose} left them`, async () => {
    await using server = await RedisServer.start();
    await measure(`Redis, ${whose}`, { url: server.url.href, permissions, server }, leave);
  });
}

Deno.test("SQLite: subscribe() takes over 100,000 deliveries while new events flow when a killed consumer left them", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-" });
  const access = [`--allow-read=${folder}`, `--allow-write=${folder}`, "--allow-env", "--allow-sys"];
  await measure("SQLite", { url: `sqlite:${folder}/events.db`, permissions: access }, abandon);
  await Deno.remove(folder, { recursive: true });
});
