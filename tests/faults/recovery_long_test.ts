// Guarantees 5, 15, 17, 19, 26: how long it takes until handling goes on, compared with what is promised.

import { assert } from "@std/assert";
import { connect } from "@tidings/broker";
import { until } from "../../src/testing/_broker_bench.ts";
import type { ConsumeRole } from "../processes/_child.ts";
import { Counted } from "../processes/_counted.ts";
import { Process } from "../processes/_processes.ts";
import { Proxy } from "../redis/_proxy.ts";
import { RedisServer } from "../redis/_server.ts";

const DEFAULT_LEASE = 30_000;
// The promised time after a lost consumer, by its lease, in ms; other faults do not wait for a lease.
const BARS = new Map([[1_000, 1_500], [DEFAULT_LEASE, 35_000]]);
const NO_LEASE_BAR = 1_500;

/** A store, and the ways to it. */
interface Place extends AsyncDisposable {
  readonly url: string;
  /** Its URL without the proxy. */
  readonly direct: string;
  readonly permissions: readonly string[];
  readonly server?: RedisServer;
  readonly proxy?: Proxy;
}

async function openRedis(): Promise<Place> {
  const server = await RedisServer.start();
  const proxy = new Proxy(server.port);
  return {
    url: proxy.url.href,
    direct: server.url.href,
    permissions: ["--allow-net=127.0.0.1", "--allow-env", "--allow-sys"],
    server,
    proxy,
    async [Symbol.asyncDispose]() {
      await proxy[Symbol.asyncDispose]();
      await server[Symbol.asyncDispose]();
    },
  };
}

async function openSqlite(): Promise<Place> {
  const folder = await Deno.makeTempDir({ prefix: "tidings-" });
  const url = `sqlite:${folder}/events.db`;
  return {
    url,
    direct: url,
    permissions: [`--allow-read=${folder}`, `--allow-write=${folder}`],
    [Symbol.asyncDispose]: () => Deno.remove(folder, { recursive: true }),
  };
}

const has = (process: Process, n: number) => process.said("started").length > n;

/** Milliseconds from the loss of a consumer until another one handles its deliveries. */
async function takeover(place: Place, lease: number, takeAway: (holder: Process) => void): Promise<number> {
  const role: ConsumeRole = { name: "consume", group: "group", lease, prefetch: 10 };
  await using broker = await connect(place.direct, { events: [Counted] });
  await using holder = new Process(place.url, place.permissions, { ...role, gated: true });
  await holder.wait("ready");
  await broker.publish(Array.from({ length: 10 }, (_, n) => new Counted({ n })));
  await holder.wait("started");
  await using successor = new Process(place.url, place.permissions, role);
  await successor.wait("ready");
  takeAway(holder);
  const at = performance.now();
  await until(() => has(successor, 0), "another consumer handles them", 2 * BARS.get(lease)!);
  return performance.now() - at;
}

/** Milliseconds from a fault until the consumer handles what is published after it. */
async function goingOn(place: Place, lease: number, fault: () => Promise<void> | void): Promise<number> {
  await using broker = await connect(place.direct, { events: [Counted] });
  await using consumer = new Process(place.url, place.permissions, { name: "consume", group: "group", lease });
  await consumer.wait("ready");
  await broker.publish(new Counted({ n: 0 }));
  await consumer.wait("ended");
  // Now it waits for new events.
  await fault();
  const at = performance.now();
  await broker.publish(new Counted({ n: 1 }));
  await until(() => has(consumer, 1), "the consumer goes on", 20_000);
  return performance.now() - at;
}

interface Case {
  readonly fault: string;
  readonly waitsForLease: boolean;
  readonly measure: (place: Place, lease: number) => Promise<number>;
}

const CONSUMERS: readonly Case[] = [
  {
    fault: "consumer killed",
    waitsForLease: true,
    measure: (place, lease) => takeover(place, lease, (holder) => void holder.kill()),
  },
  {
    fault: "consumer frozen",
    waitsForLease: true,
    measure: (place, lease) => takeover(place, lease, (holder) => holder.pause()),
  },
];

const SERVERS: readonly Case[] = [
  {
    fault: "server killed, once it is back",
    waitsForLease: false,
    measure: (place, lease) =>
      goingOn(place, lease, async () => {
        await place.server!.kill();
        await place.server!.restart();
      }),
  },
  {
    fault: "connections cut",
    waitsForLease: false,
    measure: (place, lease) => goingOn(place, lease, () => place.proxy!.cut()),
  },
  {
    fault: "stream flushed",
    waitsForLease: false,
    measure: (place, lease) => goingOn(place, lease, async () => void await place.server!.cli("FLUSHALL")),
  },
];

Deno.test("subscribe() goes on in time when consumers, servers, connections and streams are lost", async () => {
  const rows: Record<string, string | number>[] = [];
  const late: string[] = [];
  const run = async (
    name: string,
    open: () => Promise<Place>,
    { fault, waitsForLease, measure }: Case,
    lease: number,
  ) => {
    const times: number[] = [];
    for (let turn = 0; turn < (lease === DEFAULT_LEASE ? 1 : 3); turn++) {
      await using place = await open();
      times.push(Math.round(await measure(place, lease)));
    }
    const median = times.toSorted((a, b) => a - b)[times.length >> 1]!;
    const bar = waitsForLease ? BARS.get(lease)! : NO_LEASE_BAR;
    rows.push({ store: name, fault, lease, "median ms": median, "at most": bar, times: times.join(" ") });
    if (median > bar) late.push(`${name}, ${fault}, lease ${lease}: ${median} ms of ${bar}`);
  };
  // Tests with long waits run concurrently; those of a few milliseconds one after the other.
  await Promise.all(CONSUMERS.flatMap((fault) => [
    run("Redis", openRedis, fault, DEFAULT_LEASE),
    run("SQLite", openSqlite, fault, DEFAULT_LEASE),
  ]));
  for (const lost of CONSUMERS) {
    await run("Redis", openRedis, lost, 1_000);
    await run("SQLite", openSqlite, lost, 1_000);
  }
  for (const fault of SERVERS) for (const lease of [1_000, DEFAULT_LEASE]) await run("Redis", openRedis, fault, lease);
  console.table(rows);
  assert(late.length === 0, `Handling went on too late:\n${late.join("\n")}`);
});
