/**
 * Another process: `_child.ts <url> <role> <parent>`, the role as JSON. It says what happens as lines of JSON on standard output,
 * and ends when its parent does.
 *
 * @module
 */
import { connect, type Delivery, type EventBroker, type SubscribeOptions } from "@tidings/broker";
import { Counted, CountedNow } from "./_counted.ts";

/** What a process does. */
export type Role = ConsumeRole | PublishRole | { readonly name: "listen" | "visit" | "linger" };

/** Consumes until SIGTERM, then closes and ends; ends at once when it is refused. */
export interface ConsumeRole extends SubscribeOptions<Counted> {
  readonly name: "consume";
  /** Whether the process is of the next release. */
  readonly next?: boolean;
  /** How long a handler takes, in milliseconds. */
  readonly takes?: number;
  /** Handlers wait until they are told to go on. */
  readonly gated?: boolean;
  /** The number of the event whose handler holds up the event loop for a second. */
  readonly blocking?: number;
  /** Handlers throw in the end. The three above and this are for what was not recovered. */
  readonly failing?: boolean;
  /** The number of the event whose handler ends the process. */
  readonly deadly?: number;
}

/** Publishes so many events, numbered from `from`, and ends. */
export interface PublishRole {
  readonly name: "publish";
  readonly count: number;
  readonly from: number;
  /** Whether the process is of the next release. */
  readonly next?: boolean;
}

/** One thing that happened. */
export interface Line {
  /**
   * `ready`, `closed`; of handlers `started`, `ended`, `aborted`; `heard` by a listener; `refused` by the broker; and
   * what a subscription tells of itself: `recovered`, `leaselost`, `retry`, `deadletter`, `held`.
   */
  readonly kind: string;
  /** The event's. */
  readonly id?: string;
  /** Whose delivery it is, by its name in the store. */
  readonly consumer?: string;
  readonly position?: string;
  readonly attempt?: number;
  readonly recovered?: number;
  /** What the event says. */
  readonly detail?: { readonly n: number; readonly twice?: number };
  /** Of the error, or of what the signal aborted for. */
  readonly error?: string;
  readonly message?: string;
}

// Whoever handles the one handles the other: it says more.
const Next = CountedNow as typeof Counted;

// Written at once: what was said before a process is killed has been said.
const say = (line: Line): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when the parent says a word. */
async function told(): Promise<void> {
  await Deno.stdin.read(new Uint8Array(16));
}

async function consume(broker: EventBroker<typeof Counted>, role: ConsumeRole): Promise<void> {
  const { name: _, next, takes = 0, gated = false, blocking, failing = false, deadly, ...options } = role;
  const opened = gated ? told() : Promise.resolve();
  const handler = async ({ id, detail }: Counted, delivery: Delivery<Counted>) => {
    const { signal, consumer, attempt, recovered } = delivery;
    const { n } = detail;
    say({ kind: "started", id, consumer, attempt, recovered, detail });
    signal.addEventListener("abort", () => say({ kind: "aborted", id, error: signal.reason.name }));
    if (n === deadly) Deno.exit(9);
    if (recovered === 0) {
      if (n === blocking) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
      else await opened;
    }
    if (takes > 0) await sleep(takes);
    say({ kind: "ended", id });
    if (failing && recovered === 0) throw new Error("As it was told");
  };
  const terminated = new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
  const subscription = await broker.subscribe(next ? Next : Counted, handler, options);
  for (const kind of ["recovered", "leaselost", "retry", "deadletter", "deferred"] as const) {
    subscription.addEventListener(kind, ({ position }) => say({ kind, position }));
  }
  say({ kind: "ready" });
  await terminated;
}

async function publish(broker: EventBroker<typeof Counted>, { count, from, next }: PublishRole): Promise<void> {
  const event = (n: number) => next ? new CountedNow({ n, twice: 2 * n }) : new Counted({ n });
  await Promise.all(Array.from({ length: count }, (_, i) => broker.publish(event(from + i))));
}

async function listen(broker: EventBroker<typeof Counted>): Promise<void> {
  broker.addEventListener("Counted", ({ id }) => say({ kind: "heard", id }));
  // What is published here waits until the listener is attached.
  await broker.publish(new Counted({ n: -1 }));
  say({ kind: "ready" });
  await told();
}

/** Uses a bit of everything. */
async function visit(broker: EventBroker<typeof Counted>): Promise<void> {
  broker.addEventListener("Counted", ({ id }) => say({ kind: "heard", id }));
  const handled = new Promise<void>((resolve) => {
    broker.subscribe(Counted, () => resolve(), { group: "visitors", concurrency: 4, handlerTimeout: 60_000 });
  });
  await broker.publish(new Counted({ n: 0 }));
  await handled;
  for await (const delivery of broker.consume(Counted, { group: "pullers" })) {
    await delivery.ack();
    break;
  }
  for await (const _ of broker.history(Counted, { follow: true, limit: 1 }));
}

/** Leaves nothing open but the broker itself. */
async function linger(broker: EventBroker<typeof Counted>): Promise<void> {
  await broker.publish(new Counted({ n: 0 }));
  await using subscription = await broker.subscribe(Counted, () => {}, { group: "visitors" });
  await subscription.close();
}

async function play(broker: EventBroker<typeof Counted>, role: Role): Promise<void> {
  switch (role.name) {
    case "consume":
      return await consume(broker, role);
    case "publish":
      return await publish(broker, role);
    case "listen":
      return await listen(broker);
    case "visit":
      return await visit(broker);
    case "linger":
      return await linger(broker);
  }
}

const [url, json, parent] = Deno.args as [string, string, string];
const role: Role = JSON.parse(json);
// A parent that was killed can end nobody; the timer itself keeps nothing alive.
Deno.unrefTimer(setInterval(() => Deno.ppid === Number(parent) || Deno.exit(3), 500));
const broker = await connect(url, { events: ["next" in role && role.next ? Next : Counted] });
try {
  await play(broker, role);
} catch (error) {
  const { name, message } = error as Error;
  say({ kind: "refused", error: name, message });
}
if (role.name !== "linger") {
  await broker.close();
  say({ kind: "closed" });
}
