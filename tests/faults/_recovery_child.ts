/**
 * A process that measures itself: `_recovery_child.ts <url> <role> <parent>`, the role as JSON. It prints `ready`, and after
 * a line on standard input `measured`, with its measurements as JSON.
 *
 * @module
 */
import { connect, defineEvent } from "@tidings/broker";
import { cpuUsage } from "node:process";
import { openRedisStore } from "../../src/redis/open.ts";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { Counted } from "../processes/_counted.ts";

/** The role of a measuring process. */
export type RecoveryRole = ClaimRole | SuccessorRole | IdleRole;

/** Claims `count` deliveries from the store, and does nothing with them. */
export interface ClaimRole {
  readonly name: "claim";
  readonly count: number;
  readonly lease: number;
}

/** Handles events with an empty handler. Events numbered below `from` are old: abandoned by another consumer. */
export interface SuccessorRole {
  readonly name: "successor";
  readonly from: number;
  readonly concurrency: number;
}

/** Waits with `count` subscriptions, and measures the percentage of a core that they use. */
export interface IdleRole {
  readonly name: "idle";
  readonly count: number;
  readonly seconds: number;
}

/** The measurements of a successor. */
export interface TakeoverMeasurement {
  /** From publishing to handling of each new event, in ms, in the order of handling. */
  readonly latencies: readonly number[];
  /** How many different old events were handled. */
  readonly old: number;
  /** How many deliveries of old events there were. */
  readonly deliveries: number;
  /** When the first and the last old event was handled, in ms since the epoch. */
  readonly first: number;
  readonly last: number;
}

const say = (kind: string, message = "") => console.log(JSON.stringify({ kind, message }));
const told = () => Deno.stdin.read(new Uint8Array(16));

async function claimAll({ count, lease }: ClaimRole): Promise<void> {
  const store = url.startsWith("sqlite:") ? await SqliteStore.open(url.slice(7)) : await openRedisStore(url);
  const member = await store.member("events:Counted", "group", { consumer: "claimer", lease, startFrom: "beginning" });
  const signal = AbortSignal.timeout(60_000);
  for (let taken = 0; taken < count;) taken += (await member.claim({ limit: 1_000, signal })).records.length;
  // Renews its lease until it is killed.
  setInterval(() => member.renew([]), lease / 3);
  say("ready");
  await told();
}

async function takeOver({ from, concurrency }: SuccessorRole): Promise<void> {
  await using broker = await connect(url, { events: [Counted] });
  const latencies: number[] = [];
  const old = new Set<number>();
  let [deliveries, first, last] = [0, 0, 0];
  await broker.subscribe(Counted, ({ detail: { n }, time }) => {
    if (n >= from) return void latencies.push(Date.now() - time.getTime());
    old.add(n);
    deliveries++;
    last = Date.now();
    if (deliveries === 1) [first] = [last, say("started")];
    if (old.size === from) say("taken over");
  }, { group: "group", concurrency });
  say("ready");
  await told();
  say("measured", JSON.stringify({ latencies, old: old.size, deliveries, first, last } satisfies TakeoverMeasurement));
}

async function idle({ count, seconds }: IdleRole): Promise<void> {
  const classes = Array.from({ length: count }, (_, n) => class extends defineEvent(`Idle${n}`)<{ n: number }> {});
  await using broker = await connect(url, { events: classes });
  for (const event of classes) await broker.subscribe(event, () => {}, { group: "group" });
  say("ready");
  await told();
  const before = cpuUsage();
  await new Promise((resolve) => setTimeout(resolve, seconds * 1_000));
  const { user, system } = cpuUsage(before);
  say("measured", String((user + system) / seconds / 10_000));
}

const [url, json, parent] = Deno.args as [string, string, string];
const role: RecoveryRole = JSON.parse(json);
// A killed parent cannot end its children. The timer itself does not keep the process alive.
Deno.unrefTimer(setInterval(() => Deno.ppid === Number(parent) || Deno.exit(3), 500));
if (role.name === "claim") await claimAll(role);
else if (role.name === "successor") await takeOver(role);
else await idle(role);
