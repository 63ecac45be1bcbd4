import { assert, assertEquals } from "@std/assert";
import { EventBroker } from "@tidings/broker";
import { type EventStore, StoreError } from "../../../src/store/mod.ts";
import { sleep, until } from "../../../src/testing/_broker_bench.ts";
import { Fleet, type Slot } from "../_chaos_fleet.ts";
import { eventuallySucceeds } from "../_insist.ts";
import { Chance, SEED } from "../_seed.ts";
import { type Fault, processFaults, Storm } from "../_storm.ts";
import { brokerOptions, CLASSES, CONCURRENCY, GROUPS, PREFETCH, SIZES, type SpreadRole } from "./_bids.ts";
import { type Stored, Verdict } from "./_verdict.ts";

/** How long the faults last, in seconds. */
export const SECONDS = Number(Deno.env.get("CHAOS_SECONDS") ?? 600);

/** The main module of the processes. */
export const CHILD = new URL("./_child.ts", import.meta.url);
const CONSUMERS = ["c1", "c2", "c3", "c4", "c5"];
const PUBLISHERS = ["p1", "p2", "p3"];
const REDRIVERS = ["r1"];
/** The names of all slots for processes. */
export const SLOTS: readonly string[] = [...CONSUMERS, ...PUBLISHERS, ...REDRIVERS];
// After the faults: leases, all retries, and the backlog of a busy machine. The pulling consumers handle one event at a time.
const DRAIN = 600_000;
// After the last change: looks at the plan, drains and joins.
const BALANCE = 20_000;

type Broker = EventBroker<typeof CLASSES[number]>;

/** Where a run keeps its data, and its own kinds of faults. */
export interface Place {
  readonly folder: string;
  /** Connects directly, so that only faults of servers reach it. */
  readonly store: EventStore;
  /** Whether a failover may lose what no replica has. */
  readonly failovers: boolean;
  slot(at: number): Pick<Slot<SpreadRole>, "url" | "permissions"> & { readonly client: SpreadRole["client"] };
  faults(storm: Storm, random: Chance): readonly Fault[];
}

/** Runs the faults, waits until all events are settled, and compares the log with the promises. */
export async function spread(name: string, seconds: number, place: Place): Promise<void> {
  const began = performance.now();
  const { folder, store, failovers } = place;
  const random = new Chance(SEED);
  const log = `${folder}/all.log`;
  const storm = new Storm(random, (entry) => {
    const [time, ...words] = entry.split(" ");
    Deno.writeTextFileSync(log, `${time} storm fault ${words.join(" ")}\n`, { append: true });
  });
  const broker: Broker = new EventBroker(store, brokerOptions(SIZES[0]));
  const size = new Size(broker, `${folder}/partitions`);
  const slots = SLOTS.map((slot, at) => {
    const { client, ...rest } = place.slot(at);
    // What a failover loses may be published again behind events of other publishers, so each one has its own auctions.
    const auctions = failovers ? slot : undefined;
    const role = {
      name: CONSUMERS.includes(slot)
        ? "consume" as const
        : PUBLISHERS.includes(slot)
        ? "publish" as const
        : "redrive" as const,
      client,
      replicated: failovers,
      auctions,
      sizeFile: size.file,
    };
    return { name: slot, role, ...rest };
  });
  await using fleet = new Fleet<SpreadRole>(random, CHILD, () => log, slots);
  try {
    await storm.run(seconds, [
      ...processFaults(storm, fleet, random),
      ["consumer absent", 2, () => leaveForAWhile(storm, fleet, random)],
      ["consumers rolled", 1, () => storm.exclusively("consumers", () => roll(storm, fleet))],
      ["partitions changed", 1, () => storm.exclusively("partitions", () => size.change(storm, random))],
      ...place.faults(storm, random),
    ]);
    await size.settle(storm, random);
    await fleet.calm();
    await fleet.end("publish");
    await drained(broker);
    await balanced(store, size.now);
    await fleet.end("redrive");
    const history = await Array.fromAsync(broker.history(CLASSES), ({ id, position, detail }): Stored => {
      return { id, position: position!, ...detail };
    });
    await fleet.end("consume");
    for (const { pending, retrying, lag, deadLetters, consumers, name } of (await broker.info(CLASSES[0])).groups) {
      assertEquals([name, pending, retrying, lag, deadLetters, consumers], [name, 0, 0, 0, 0, []]);
    }

    const verdict = new Verdict(await Deno.readTextFile(log), ["over", "deadletter", ...failovers ? [] : LOSSES]);
    const counts = [...storm.counts].toSorted().map(([kind, count]) => `${kind} ${count}`).join(", ");
    console.log(
      `${name}, seed ${SEED}: ${verdict.accepted} events accepted, ${history.length} stored ` +
        `(${verdict.kinds.get("uncertain") ?? 0} times uncertain), ${verdict.kinds.get("ok")} times handled, ` +
        `${verdict.kinds.get("letter") ?? 0} dead letters, ${verdict.kinds.get("held") ?? 0} times held, ` +
        `${verdict.kinds.get("failed") ?? 0} failures, ${verdict.repeats} repeats, ${
          verdict.kinds.get("rebalance") ?? 0
        } rebalances, ${fleet.logs.size} processes; ${counts}; ${((performance.now() - began) / 1_000).toFixed(0)} s`,
    );
    const found = [...fleet.failures, ...verdict.faults(history, { failovers })];
    assert(found.length === 0, `${found.length} promises were broken:\n${found.slice(0, 5).join("\n")}`);
    // However slow the machine is, there must have been events to lose.
    assert(verdict.accepted > 3 * seconds, "Hardly anything was published");
    const disruptions = [...storm.counts.values()].reduce((sum, count) => sum + count, 0);
    const inFlight = GROUPS.length * PREFETCH + CONCURRENCY;
    assert(verdict.repeats <= disruptions * inFlight, `${verdict.repeats} repeats of ${disruptions} disruptions`);
  } catch (error) {
    const kept = await Deno.makeTempFile({ prefix: "tidings-spread-", suffix: ".log" });
    await Deno.copyFile(log, kept).catch(() => {});
    const last = [...fleet.failures, ...storm.entries.slice(-30)].join("\n");
    const context = `seed ${SEED}: FAULTS_SEED=${SEED} makes the same choices; the log is ${kept}`;
    throw new Error(`${(error as Error).message}\n${context}; the last faults:\n${last}`, { cause: error });
  } finally {
    await broker.close();
  }
}

/** Lines of the log that only a failover may cause. */
const LOSSES = ["entrieslost", "grouplost"];

/** The number of partitions, which changes while processes publish and consume. */
class Size {
  /** Tells new processes the number. */
  readonly file: string;
  now: number = SIZES[0];
  /** The number that a call has announced and not put in force: only a call with the same number goes on with it. */
  #next: number | undefined;
  #broker: Broker;

  constructor(broker: Broker, file: string) {
    this.#broker = broker;
    this.file = file;
    Deno.writeTextFileSync(file, String(this.now));
  }

  /** Ends a change that faults have interrupted. */
  async settle(storm: Storm, random: Chance): Promise<void> {
    if (this.#next !== undefined) await this.change(storm, random);
  }

  async change(storm: Storm, random: Chance): Promise<void> {
    const next = this.#next ??= random.pick(SIZES.filter((size) => size !== this.now));
    storm.tell("partitions", `change from ${this.now} to ${next}`);
    await eventuallySucceeds(() => this.#broker.repartition(CLASSES[0], { partitions: next }), 60_000);
    this.#next = undefined;
    this.now = next;
    await Deno.writeTextFile(this.file, String(next));
    storm.tell("partitions", `are ${next}`);
  }
}

/** A consumer closes, and its successor starts only after some seconds. */
function leaveForAWhile(storm: Storm, fleet: Fleet<SpreadRole>, random: Chance): void {
  const slot = fleet.pick(({ role }) => role.name === "consume");
  if (slot === undefined) return;
  slot.absence = 1_000 + random.between(0, 5_000);
  storm.tell(slot.name, `leaves for ${slot.absence} ms`);
  fleet.terminate(slot);
}

/** Restarts all consumers, one after the other, as a deployment does. */
async function roll(storm: Storm, fleet: Fleet<SpreadRole>): Promise<void> {
  for (const slot of fleet.slots.filter(({ role }) => role.name === "consume")) {
    const { process } = slot;
    if (process === undefined || slot.end !== undefined) continue;
    await process.wait("ready");
    if (slot.end !== undefined) continue;
    storm.tell(slot.name, "rolled");
    fleet.terminate(slot);
    await process.ended;
    await until(() => slot.process !== undefined, "the next process is started");
    await slot.process!.wait("ready").catch(() => {});
  }
}

/** Waits until every group has settled all events, including those of retries and dead consumers. */
export async function drained(broker: Broker): Promise<void> {
  let state = "";
  const isDrained = async () => {
    await sleep(100);
    const { groups } = await broker.info(CLASSES[0]).catch((error) => {
      // The last kill of a server also closed this broker's connection; the next call opens another.
      if (!(error instanceof StoreError)) throw error;
      return { groups: [] };
    });
    const behind = groups.filter(({ name, pending, retrying, lag, deadLetters, consumers }) => {
      const letters = name === "held" ? deadLetters : 0;
      return pending + retrying + lag + letters > 0 || consumers.some(({ alive }) => !alive);
    });
    state = JSON.stringify(behind.map(({ name, deadLetters, held, consumers, partitions }) => ({
      name,
      deadLetters,
      held,
      consumers: consumers.filter(({ alive, pending }) => !alive || pending > 0),
      partitions: partitions?.filter(({ lag, pending }) => lag + pending > 0),
    })));
    return groups.length === GROUPS.length && behind.length === 0;
  };
  await until(isDrained, "all events are settled and only live consumers are left", DRAIN).catch((error) => {
    throw new Error(`${error.message}: ${state}`);
  });
}

/** Waits until each partition has one consumer in each group with an order, and they are spread evenly. */
async function balanced(store: EventStore, partitions: number): Promise<void> {
  let owners: Record<string, string[][]> = {};
  const isBalanced = async () => {
    await sleep(100);
    const states = await Promise.all(
      Array.from({ length: partitions }, (_, partition) => store.admin(`events:Auction#${partition}`).info()),
    );
    owners = Object.fromEntries(GROUPS.map((group) => [
      group,
      states.map(({ groups }) =>
        groups.find(({ name }) => name === group)!.consumers.map(({ name }) => name.slice(0, name.lastIndexOf(".")))
      ),
    ]));
    return GROUPS.every((group) => {
      if (group === "shared") return owners[group]!.every((names) => names.length === CONSUMERS.length);
      if (owners[group]!.some((names) => names.length !== 1)) return false;
      const counts = [...Map.groupBy(owners[group]!.flat(), (name) => name).values()].map(({ length }) => length);
      const [least, most] = [Math.floor, Math.ceil].map((round) => round(partitions / CONSUMERS.length));
      return counts.length === CONSUMERS.length && counts.every((count) => count >= least! && count <= most!);
    });
  };
  await until(isBalanced, "each partition has one consumer, and they are spread evenly", BALANCE).catch((error) => {
    throw new Error(`${error.message}: ${JSON.stringify(owners)}`);
  });
}
