/**
 * A process of a test: `_child.ts <url> <role> <parent>`, the role as JSON. It reports events as lines of JSON on standard
 * output, and ends when its parent does.
 *
 * @module
 */
import { connect, type Delivery, type EventBroker, type SubscribeOptions } from "@tidings/broker";
import { Counted, CountedNow } from "./_counted.ts";

/** The role of a process. */
export type Role = ConsumeRole | PublishRole | { readonly name: "listen" | "visit" | "linger" | "toggle" };

/** Consumes until SIGTERM, then closes and ends; ends at once when `subscribe` rejects. */
export interface ConsumeRole extends SubscribeOptions<Counted> {
  readonly name: "consume";
  /** Whether the process belongs to the next release, with version 2 of the event. */
  readonly next?: boolean;
  /** How long each handler runs, in milliseconds. */
  readonly takes?: number;
  /** Whether handlers wait for a line on standard input. Recovered deliveries do not wait. */
  readonly gated?: boolean;
  /** The number of the event whose handler blocks the event loop for a second, unless it was recovered. */
  readonly blocking?: number;
  /** Whether handlers throw at their end, unless the delivery was recovered. */
  readonly failing?: boolean;
  /** The number of the event whose handler ends the process. */
  readonly deadly?: number;
}

/** Publishes `count` events, numbered from `from`, and ends. */
export interface PublishRole {
  readonly name: "publish";
  readonly count: number;
  readonly from: number;
  /** Whether the process belongs to the next release, with version 2 of the event. */
  readonly next?: boolean;
}

/** One line of a process's output. */
export interface Line {
  /**
   * `ready` or `closed`; of a handler `started`, `ended` or `aborted`; of a live listener `heard`; of an error of the broker
   * `refused`; or a lifecycle event of the subscription: `recovered`, `leaselost`, `retry`, `deadletter`, `deferred`,
   * `pause`, `resume`.
   */
  readonly kind: string;
  /** The id of the event. */
  readonly id?: string;
  /** The name of the consumer in the store. */
  readonly consumer?: string;
  readonly position?: string;
  readonly attempt?: number;
  readonly recovered?: number;
  /** The detail of the event. */
  readonly detail?: { readonly n: number; readonly twice?: number };
  /** The name of the error, or of the signal's reason. */
  readonly error?: string;
  readonly message?: string;
  /** When a handler started or the subscription paused, in milliseconds since the epoch. */
  readonly at?: number;
}

// A handler of version 1 can handle version 2, which only adds a property.
const Next = CountedNow as typeof Counted;

// Written synchronously, so that a killed process loses no line.
const say = (line: Line): void => void Deno.stdout.writeSync(new TextEncoder().encode(`${JSON.stringify(line)}\n`));
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Resolves when the parent writes a line. */
async function released(): Promise<void> {
  await Deno.stdin.read(new Uint8Array(16));
}

async function consume(broker: EventBroker<typeof Counted>, role: ConsumeRole): Promise<void> {
  const { name: _, next, takes = 0, gated = false, blocking, failing = false, deadly, ...options } = role;
  const opened = gated ? released() : Promise.resolve();
  const handler = async ({ id, detail }: Counted, delivery: Delivery<Counted>) => {
    const { signal, consumer, attempt, recovered } = delivery;
    const { n } = detail;
    say({ kind: "started", id, consumer, attempt, recovered, detail, at: Date.now() });
    signal.addEventListener("abort", () => say({ kind: "aborted", id, error: signal.reason.name }));
    if (n === deadly) Deno.exit(9);
    if (recovered === 0) {
      if (n === blocking) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1_000);
      else await opened;
    }
    if (takes > 0) await sleep(takes);
    say({ kind: "ended", id });
    if (failing && recovered === 0) throw new Error("The role is failing");
  };
  const terminated = new Promise<void>((resolve) => Deno.addSignalListener("SIGTERM", resolve));
  const subscription = await broker.subscribe(next ? Next : Counted, handler, options);
  for (const kind of ["recovered", "leaselost", "retry", "deadletter", "deferred"] as const) {
    subscription.addEventListener(kind, ({ position }) => say({ kind, position }));
  }
  for (const kind of ["pause", "resume"] as const) {
    subscription.addEventListener(kind, () => say({ kind, at: Date.now() }));
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
  // A publish in the same process waits until the listener is attached.
  await broker.publish(new Counted({ n: -1 }));
  say({ kind: "ready" });
  await released();
}

/** Uses listeners, a subscription, a pull consumer and a history. */
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

/** Closes its subscription, and forgets to close the broker. */
async function linger(broker: EventBroker<typeof Counted>): Promise<void> {
  await broker.publish(new Counted({ n: 0 }));
  await using subscription = await broker.subscribe(Counted, () => {}, { group: "visitors" });
  await subscription.close();
}

/** Pauses and resumes a group in turn, until it is killed. */
async function toggle(broker: EventBroker<typeof Counted>): Promise<void> {
  say({ kind: "ready" });
  for (;;) {
    await broker.pause(Counted, { group: "group", reason: "toggled" });
    await sleep(20);
    await broker.resume(Counted, { group: "group" });
    await sleep(20);
  }
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
    case "toggle":
      return await toggle(broker);
    case "linger":
      return await linger(broker);
  }
}

const [url, json, parent] = Deno.args as [string, string, string];
const role: Role = JSON.parse(json);
// A killed parent cannot end its children. The timer itself does not keep the process alive.
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
