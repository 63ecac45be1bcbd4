/**
 * A process of the chaos test: `_chaos_child.ts <url> <role> <parent>`, the role as JSON. On SIGTERM it closes and ends;
 * after SIGUSR2 its handlers no longer fail at random.
 *
 * @module
 */
import {
  connect,
  type Delivery,
  type EventBroker,
  PermanentError,
  type Subscription,
  UncertainPublishError,
} from "@tidings/broker";
import { RedisBroker } from "../../src/redis_broker.ts";
import { Chaos, type ChaosRole, CONSUMING, DEADLY, GROUPS, type Manner } from "./_chaos_event.ts";
import { Chance } from "./_seed.ts";

const MOST_IN_FLIGHT = 200;

const [url, json, parent] = Deno.args as [string, string, string];
const role: ChaosRole = JSON.parse(json);
const chance = new Chance(role.seed);
const log = Deno.openSync(role.log, { append: true, create: true });
let calm = role.calm;
let terminated = false;

// Written synchronously, so that a killed process loses no line.
const say = (...words: readonly (string | number)[]): void => {
  log.writeSync(new TextEncoder().encode(`${Date.now()} ${words.join(" ").replaceAll("\n", " ")}\n`));
};
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const textOf = (error: unknown) => error instanceof Error ? `${error.name}: ${error.message}` : String(error);

/** Tries again until it succeeds or the process has received SIGTERM. */
async function reach<T>(name: string, attempt: () => Promise<T>): Promise<T | undefined> {
  while (!terminated) {
    try {
      return await attempt();
    } catch (error) {
      say("unreached", name, textOf(error));
      await sleep(200);
    }
  }
  return undefined;
}

async function handle(group: string, event: Chaos, delivery: Delivery<Chaos>): Promise<void> {
  const { id, detail: { manner } } = event;
  const { position, attempt, recovered, signal } = delivery;
  say("start", group, id, position, attempt, recovered);
  if (manner === "deadly" && group === GROUPS[0] && !calm && chance.between(1, 100) <= 80) {
    say("deadly", group, id, position);
    Deno.exit(DEADLY);
  }
  try {
    await sleep(chance.between(0, 7));
    if (manner === "permanent" && (calm || chance.between(1, 100) <= 50)) throw new PermanentError("Nothing helps");
    if (!calm && manner === "hanging" && chance.between(1, 100) <= 50) {
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    }
    if (!calm && chance.between(1, 100) <= 15) throw new Error("By chance");
  } catch (error) {
    say("failed", group, id, position, textOf(error));
    throw error;
  }
  say("ok", group, id, position);
  if (manner === "probe") console.log(JSON.stringify({ kind: "probe", consumer: group, id }));
}

function listen(subscription: Subscription, group: string): void {
  for (const kind of ["recovered", "leaselost", "deadletter"] as const) {
    subscription.addEventListener(kind, ({ position }) => say(kind, group, position));
  }
  subscription.addEventListener("entrieslost", ({ positions }) => say("entrieslost", group, ...positions));
  subscription.addEventListener("grouplost", ({ from, mayRepeat }) => say("grouplost", group, `${from} ${mayRepeat}`));
  subscription.addEventListener("reconnect", ({ error }) => say("reconnect", group, textOf(error)));
  subscription.addEventListener("error", ({ error }) => say("error", group, textOf(error)));
  subscription.closed.catch((error) => say("over", group, textOf(error)));
}

async function consume(broker: EventBroker<typeof Chaos>): Promise<void> {
  for (const group of GROUPS) {
    // One group has a key, so that retries which keep later events of their key waiting are tested too.
    const key = group === GROUPS[1] ? { key: (event: Chaos) => event.detail.key } : {};
    const consumer = role.consumer === undefined ? {} : { consumer: role.consumer };
    const options = { group, ...CONSUMING, ...key, ...consumer };
    const subscription = await reach(group, () => {
      return broker.subscribe(Chaos, (event, delivery) => handle(group, event, delivery), options);
    });
    if (subscription === undefined) return;
    listen(subscription, group);
    say("joined", group);
  }
}

/** Publishes events, several in one call, and again while it is uncertain whether they are stored. */
async function publish(broker: EventBroker<typeof Chaos>, events: readonly Chaos[]): Promise<void> {
  for (const { id, detail: { manner } } of events) say("try", id, manner);
  for (;;) {
    try {
      const positions = events.length === 1 ? [await broker.publish(events[0]!)] : await broker.publish(events);
      for (const [at, { id }] of events.entries()) say("accepted", id, positions[at]!);
      return;
    } catch (error) {
      const uncertain = error instanceof UncertainPublishError;
      for (const { id } of events) say(uncertain ? "uncertain" : "rejected", id, textOf(error));
      if (!uncertain) return;
    }
  }
}

function anyManner(): Manner {
  const drawn = chance.between(0, 1_999);
  return drawn < 1 ? "deadly" : drawn < 40 ? "permanent" : drawn < 50 ? "hanging" : "plain";
}

async function publishOn(broker: EventBroker<typeof Chaos>): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  for (let n = 0; !terminated; n++) {
    const count = chance.between(1, 100) <= 10 ? 5 : 1;
    const events = Array.from({ length: count }, () => {
      return new Chaos({ n, manner: anyManner(), key: `${chance.between(0, 49)}` });
    });
    const publishing = publish(broker, events);
    inFlight.add(publishing);
    void publishing.finally(() => inFlight.delete(publishing));
    if (inFlight.size >= MOST_IN_FLIGHT) await Promise.race(inFlight);
    await sleep(chance.between(0, 49));
  }
}

// A killed parent cannot end its children. The timer itself does not keep the process alive.
Deno.unrefTimer(setInterval(() => Deno.ppid === Number(parent) || Deno.exit(3), 500));
const ending = new Promise<void>((resolve) => {
  Deno.addSignalListener("SIGTERM", () => (terminated = true, say("terminated"), resolve()));
});
Deno.addSignalListener("SIGUSR2", () => (calm = true, say("calm")));

say("began", role.name);
console.log(JSON.stringify({ kind: "ready" }));
const options = { events: [Chaos], publishTimeout: 3_000, retention: { maxLength: 300 } };
const broker = await reach("broker", () => {
  return role.client === undefined
    ? connect(url, options)
    : RedisBroker.connect(url, { ...options, client: role.client });
});
if (broker !== undefined) {
  broker.addEventListener("error", ({ error }) => say("error", "broker", textOf(error)));
  if (role.name === "consume") await consume(broker);
  else await publishOn(broker);
  await ending;
  await broker.close();
}
say("closed");
