/**
 * A process of the chaos test of partitions: `_child.ts <url> <role> <parent>`, the role as JSON. On SIGTERM it closes and
 * ends; after SIGUSR2 its handlers no longer fail at random.
 *
 * All processes append to one log, so that the order of its lines is the order of what happened.
 *
 * @module
 */
import {
  connect,
  type Delivery,
  type EventBroker,
  PermanentError,
  PublishError,
  RedisBroker,
  type Subscription,
  UncertainPublishError,
} from "@tidings/broker";
import { Chance } from "../_seed.ts";
import {
  Bid,
  brokerOptions,
  CLASSES,
  CONCURRENCY,
  CONSUMING,
  type Group,
  GROUPS,
  Remark,
  type SpreadRole,
} from "./_bids.ts";

type Event = Bid | Remark;
type Broker = EventBroker<typeof CLASSES[number]>;

const AUCTIONS = 120;
const MOST_IN_FLIGHT = 100;

const [url, json, parent] = Deno.args as [string, string, string];
const role: SpreadRole = JSON.parse(json);
const chance = new Chance(role.seed);
const log = Deno.openSync(role.log, { append: true, create: true });
let calm = role.calm;
const terminated = new AbortController();

// Written synchronously and in one piece, so that a killed process loses no line and lines of processes do not mix.
const say = (...words: readonly (string | number)[]): void => {
  const line = `${Date.now()} ${role.process} ${words.join(" ").replaceAll("\n", " ")}\n`;
  log.writeSync(new TextEncoder().encode(line));
};
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
const textOf = (error: unknown) => error instanceof Error ? `${error.name}: ${error.message}` : String(error);

/** Tries again until it succeeds or the process has received SIGTERM. */
async function reach<T>(name: string, attempt: () => Promise<T>): Promise<T | undefined> {
  while (!terminated.signal.aborted) {
    try {
      return await attempt();
    } catch (error) {
      say("unreached", name, textOf(error));
      await sleep(200);
    }
  }
  return undefined;
}

async function handle(group: Group, { id }: Event, { position, attempt, recovered }: Delivery<Event>): Promise<void> {
  say("start", group, id, position, attempt, recovered);
  await sleep(chance.between(0, group === "pulled" ? 12 : 30));
  const luck = calm ? 100 : chance.between(1, 100);
  if (luck <= 8) {
    say("failed", group, id);
    throw group === "held" && luck === 1 ? new PermanentError("By chance") : new Error("By chance");
  }
  say("ok", group, id, position);
}

function listen(subscription: Subscription, group: Group): void {
  subscription.addEventListener("rebalance", ({ assigned, gained, lost }) => {
    say("rebalance", group, `[${assigned}] gained [${gained}] lost [${lost}]`);
  });
  for (const kind of ["recovered", "leaselost", "held"] as const) {
    subscription.addEventListener(kind, ({ position }) => say(kind, group, position));
  }
  subscription.addEventListener("deadletter", ({ position }) => {
    say(group === "held" ? "letter" : "deadletter", group, position);
  });
  subscription.addEventListener("entrieslost", ({ positions }) => say("entrieslost", group, ...positions));
  subscription.addEventListener("grouplost", ({ from, mayRepeat }) => say("grouplost", group, `${from} ${mayRepeat}`));
  subscription.addEventListener("reconnect", ({ error }) => say("reconnect", group, textOf(error)));
  subscription.addEventListener("error", ({ error }) => say("error", group, textOf(error)));
  // While the process closes, the store may not reply.
  subscription.closed.catch((error) => say(terminated.signal.aborted ? "unclean" : "over", group, textOf(error)));
}

async function pull(broker: Broker): Promise<void> {
  const options = { group: "pulled", ...CONSUMING, signal: terminated.signal } as const;
  let joined = false;
  try {
    // Each delivery is handled until that succeeds, and settled before the next one is pulled: that keeps the order.
    for await (const delivery of broker.consume(CLASSES, options)) {
      joined = true;
      let handled = false;
      while (!handled) handled = await handle("pulled", delivery.event, delivery).then(() => true, () => false);
      await delivery.ack().catch((error) => say("unsettled", "pulled", delivery.event.id, textOf(error)));
    }
  } catch (error) {
    if (joined && !terminated.signal.aborted) say("over", "pulled", textOf(error));
    throw error;
  }
}

async function consume(broker: Broker): Promise<void> {
  for (const group of GROUPS) {
    if (group === "pulled") {
      void reach(group, () => pull(broker));
      continue;
    }
    const options = {
      group,
      ...CONSUMING,
      concurrency: CONCURRENCY,
      ...(group === "shared" && { assignment: "shared" as const }),
      ...(group === "held" && { whenDead: "hold-key" as const }),
    };
    const handler = (event: Event, delivery: Delivery<Event>) => handle(group, event, delivery);
    const subscription = await reach(group, () => broker.subscribe(CLASSES, handler, options));
    if (subscription === undefined) return;
    listen(subscription, group);
    say("joined", group);
  }
}

/** Publishes events, several in one call, and again while it is uncertain whether they are stored. */
async function publish(broker: Broker, events: readonly Event[]): Promise<void> {
  for (const { id, detail: { auctionId, n } } of events) say("try", id, auctionId, n);
  for (let left = events; left.length > 0;) {
    let positions: readonly (string | undefined)[] = [];
    let uncertain = false;
    try {
      positions = left.length === 1 ? [await broker.publish(left[0]!)] : await broker.publish(left);
    } catch (error) {
      if (error instanceof PublishError) positions = error.positions;
      const reasons = error instanceof PublishError ? error.errors : [error];
      uncertain = reasons.some((reason) => reason instanceof UncertainPublishError);
      for (const [at, { id }] of left.entries()) {
        if (positions[at] === undefined) say(uncertain ? "uncertain" : "rejected", id, reasons.map(textOf).join(", "));
      }
    }
    for (const [at, { id }] of left.entries()) if (positions[at] !== undefined) say("accepted", id, positions[at]);
    left = uncertain ? left.filter((_, at) => positions[at] === undefined) : [];
  }
}

async function publishOn(broker: Broker): Promise<void> {
  const inFlight = new Set<Promise<void>>();
  const numbers = new Map<string, number>();
  const anyAuction = () => {
    // A third of all events is about a few auctions.
    const most = chance.between(1, 3) === 1 ? 3 : AUCTIONS - 1;
    return `${role.auctions ?? "lot"}/${chance.between(0, most)}`;
  };
  const next = (auctionId: string): Event => {
    const n = numbers.get(auctionId) ?? 0;
    numbers.set(auctionId, n + 1);
    const Class = chance.between(1, 4) === 1 ? Remark : Bid;
    return new Class({ auctionId, by: role.process, n });
  };
  while (!terminated.signal.aborted) {
    // An array of one auction is atomic, and one of several is so in each partition.
    const auctionIds =
      { 1: Array<string>(5).fill(anyAuction()), 2: Array.from({ length: 5 }, anyAuction) }[chance.between(1, 20)];
    const publishing = publish(broker, (auctionIds ?? [anyAuction()]).map(next));
    inFlight.add(publishing);
    void publishing.finally(() => inFlight.delete(publishing));
    if (inFlight.size >= MOST_IN_FLIGHT) await Promise.race(inFlight);
    await sleep(chance.between(0, 40));
  }
}

/** Redrives all letters, again and again. */
async function redrive(broker: Broker): Promise<void> {
  while (!terminated.signal.aborted) {
    for (const Class of CLASSES) {
      await sleep(chance.between(50, 300));
      try {
        const count = await broker.redrive(Class, { group: "held" });
        if (count > 0) say("redriven", count);
      } catch (error) {
        say("unreached", "letters", textOf(error));
      }
    }
  }
}

/** Opens a broker with the number of partitions at the moment. */
async function open(): Promise<Broker> {
  const { client, replicated, sizeFile } = role;
  const options = brokerOptions(Number(Deno.readTextFileSync(sizeFile)));
  const redis = replicated ? { durability: { replicas: 1, timeout: 500 } } : {};
  const broker = client === undefined
    ? await connect(url, options)
    : await RedisBroker.connect(url, { ...options, client, redis });
  try {
    // Refused if the number has changed meanwhile.
    await broker.info(Bid);
    return broker;
  } catch (error) {
    await broker.close();
    throw error;
  }
}

// A killed parent cannot end its children. The timer itself does not keep the process alive.
Deno.unrefTimer(setInterval(() => Deno.ppid === Number(parent) || Deno.exit(3), 500));
Deno.addSignalListener("SIGTERM", () => (say("terminated"), terminated.abort()));
Deno.addSignalListener("SIGUSR2", () => (calm = true, say("calm")));
const ending = new Promise<void>((resolve) => terminated.signal.addEventListener("abort", () => resolve()));

say("began", role.name, role.client ?? "");
console.log(JSON.stringify({ kind: "ready" }));
const broker: Broker | undefined = await reach("broker", open);
if (broker !== undefined) {
  broker.addEventListener("error", ({ error }) => say("error", "broker", textOf(error)));
  broker.addEventListener("warning", ({ message }) => say("warning", message));
  if (role.name === "consume") await consume(broker);
  else if (role.name === "redrive") await redrive(broker);
  else await publishOn(broker);
  await ending;
  await broker.close().catch((error) => say("unclean", "broker", textOf(error)));
}
say("closed");
