// Guarantees 6, 8, 15, 17, 19, 22, 23, 25, 27, 29, 30, 32: all kinds of faults together, for minutes.

import { assert, assertEquals } from "@std/assert";
import { EventBroker } from "@tidings/broker";
import { SqliteStore } from "../../src/sqlite/sqlite_store.ts";
import { type EventStore, StoreError } from "../../src/store/mod.ts";
import { sleep, until } from "../../src/testing/_broker_bench.ts";
import { openStore } from "../redis/_bench.ts";
import { Proxy } from "../redis/_proxy.ts";
import { RedisServer } from "../redis/_server.ts";
import { Chaos, type ChaosRole, GROUPS } from "./_chaos_event.ts";
import { Faults } from "./_chaos_faults.ts";
import { Fleet, type Slot } from "./_chaos_fleet.ts";
import { IN_FLIGHT, Verdict } from "./_chaos_verdict.ts";
import { Chance, SEED } from "./_seed.ts";

const SECONDS = Number(Deno.env.get("CHAOS_SECONDS") ?? 600);
// After the faults: a lease, then a few retries, then the deaths of deadly events.
const DRAIN = 60_000;
const CONSUMERS = ["c1", "c2", "c3", "c4"];
const PUBLISHERS = ["p1", "p2"];
const CHILD = new URL("./_chaos_child.ts", import.meta.url);

interface Place {
  readonly folder: string;
  readonly store: EventStore;
  readonly server?: RedisServer;
  readonly proxies?: readonly Proxy[];
  slot(at: number): Pick<Slot<ChaosRole>, "url" | "permissions"> & { readonly client: ChaosRole["client"] };
}

/** Runs the faults, waits until all events are settled, and compares the logs with the promises. */
async function chaos(name: string, seconds: number, place: Place): Promise<void> {
  const began = performance.now();
  const { folder, store } = place;
  const hand = new Chance(SEED);
  const broker = new EventBroker(store, { events: [Chaos] });
  // Retention keeps what a group has not read. Entries that it removes before a group exists are not lost.
  for (const group of GROUPS) {
    const founder = { consumer: "founder", lease: 1_000, startFrom: "beginning" } as const;
    await (await store.member("events:Chaos", group, founder)).leave();
  }
  const slots = [...CONSUMERS, ...PUBLISHERS].map((slot, at) => {
    const { client, ...rest } = place.slot(at);
    const consumer = at < 2 ? { consumer: slot } : {};
    const role = { name: slot.startsWith("c") ? "consume" : "publish", client, ...consumer } as const;
    return { name: slot, role, ...rest };
  });
  await using fleet = new Fleet<ChaosRole>(hand, CHILD, (process) => `${folder}/${process}.log`, slots);
  const faults = new Faults({ fleet, random: hand, broker, ...place });
  const context = () => `seed ${SEED}: FAULTS_SEED=${SEED} makes the same choices`;
  try {
    await faults.run(seconds);
    await fleet.calm();
    await fleet.end("publish");
    await drained(broker);
    await allConsume(broker, fleet);
    const letters = new Map<string, Set<string>>();
    for (const group of GROUPS) {
      const kept = await Array.fromAsync(broker.deadLetters(Chaos, { group }));
      letters.set(group, new Set(kept.map(({ event }) => event!.id)));
    }
    await fleet.end("consume");
    for (const { consumers, ...group } of (await broker.info(Chaos)).groups) {
      assertEquals([group.name, group.pending, group.retrying, consumers], [group.name, 0, 0, []]);
    }
    if (place.server !== undefined) await assertNoKeysLeft(place.server);
    await broker.close();
    if (place.server !== undefined) await assertNoConnectionsLeft(place.server);

    const verdict = new Verdict(fleet.logs);
    const repeats = verdict.repeats(faults);
    report(name, { seconds: (performance.now() - began) / 1_000, verdict, faults, fleet, repeats, letters });
    const found = [...fleet.failures, ...verdict.faults(letters)];
    assert(found.length === 0, `${found.length} promises were broken:\n${found.slice(0, 5).join("\n")}`);
    // However slow the machine is, there must have been events to lose.
    assert(verdict.kinds.get("accepted")! > 5 * seconds, "Hardly anything was published");
    const disruptions = [...faults.storm.counts.values()].reduce((sum, count) => sum + count, fleet.deaths);
    assert(
      repeats.other <= disruptions * IN_FLIGHT,
      `${repeats.other} events came again of ${disruptions} disruptions`,
    );
  } catch (error) {
    const entries = [...fleet.failures, ...faults.storm.entries.slice(-30)].join("\n");
    throw new Error(`${(error as Error).message}\n${context()}; the last faults:\n${entries}`, { cause: error });
  } finally {
    await broker.close();
  }
}

/** Waits until every group has settled all events, including those of retries and dead consumers. */
async function drained(broker: EventBroker<typeof Chaos>): Promise<void> {
  let state = "";
  const isDrained = async () => {
    await sleep(50);
    const { groups } = await broker.info(Chaos).catch((error) => {
      // The last kill of the server also closed this broker's connection; the next call opens another.
      if (!(error instanceof StoreError)) throw error;
      return { groups: [] };
    });
    state = JSON.stringify(groups);
    return groups.length === GROUPS.length &&
      groups.every((group) =>
        group.pending + group.retrying + group.lag === 0 &&
        group.consumers.length === CONSUMERS.length && group.consumers.every(({ alive }) => alive)
      );
  };
  await until(isDrained, "all events are settled and only live consumers are left", DRAIN).catch((error) => {
    throw new Error(`${error.message}: ${state}`);
  });
}

/** Publishes until each process has handled an event in each group. */
async function allConsume(broker: EventBroker<typeof Chaos>, fleet: Fleet<ChaosRole>): Promise<void> {
  const idle = () =>
    fleet.slots.filter(({ role }) => role.name === "consume").flatMap(({ name, process }) => {
      const groups = process?.said("probe").map(({ consumer }) => consumer);
      return GROUPS.filter((group) => !groups?.includes(group)).map((group) => `${name} in ${group}`);
    });
  const deadline = performance.now() + 20_000;
  for (let n = 0; idle().length > 0; n++) {
    assert(performance.now() < deadline, `No event is handled any more by ${idle()}`);
    await broker.publish(Array.from({ length: 40 }, () => new Chaos({ n, manner: "probe", key: `${n}` })));
    await drained(broker);
  }
}

/** No keys of retries and held deliveries are left, and keys of producers expire. */
async function assertNoKeysLeft(server: RedisServer): Promise<void> {
  const keys = (await server.cli("--raw", "KEYS", "{events:*}*")).split("\n").sort();
  const kinds = new Map<string, string[]>();
  for (const key of keys) {
    const kind = /\}:(\w+):/.exec(key)![1]!;
    kinds.set(kind, [...kinds.get(kind) ?? [], key]);
  }
  assertEquals([...kinds.keys()].filter((kind) => !["dead", "group", "producer"].includes(kind)), [], keys.join("\n"));
  for (const key of kinds.get("producer") ?? []) assert(Number(await server.cli("PTTL", key)) > 0, `${key} expires`);
  for (const key of kinds.get("group") ?? []) {
    const fields = (await server.cli("--raw", "HKEYS", key)).split("\n");
    assertEquals(fields.filter((field) => /^(gen|lease|stalled|conn):/.test(field)), [], `of consumers, in ${key}`);
  }
}

async function assertNoConnectionsLeft(server: RedisServer): Promise<void> {
  let list: string[] = [];
  // One connection is that of redis-cli.
  const closed = async () => (list = (await server.cli("CLIENT", "LIST")).split("\n")).length === 1;
  await until(closed, "all connections are closed", 20_000).catch((error) => {
    throw new Error(`${error.message}:\n${list.join("\n")}`);
  });
}

function report(
  name: string,
  { seconds, verdict, faults, fleet, repeats, letters }: {
    readonly seconds: number;
    readonly verdict: Verdict;
    readonly faults: Faults;
    readonly fleet: Fleet<ChaosRole>;
    readonly repeats: { readonly rewound: number; readonly other: number };
    readonly letters: ReadonlyMap<string, ReadonlySet<string>>;
  },
): void {
  const kinds = [...faults.storm.counts].toSorted().map(([kind, count]) => `${kind} ${count}`).join(", ");
  const letterCount = [...letters.values()].reduce((sum, { size }) => sum + size, 0);
  const accepted = [...verdict.stories.values()].filter((story) => story.accepted).length;
  console.log(
    `${name}, seed ${SEED}: ${accepted} events accepted of ${verdict.kinds.get("try")} tried ` +
      `(${verdict.kinds.get("uncertain") ?? 0} times uncertain), ${verdict.kinds.get("ok")} times handled, ` +
      `${verdict.kinds.get("failed") ?? 0} failures, ${letterCount} dead letters left, ${faults.redriven} redriven, ` +
      `${repeats.rewound} came again by rewinding and ${repeats.other} by faults; ${fleet.deaths} processes ended by ` +
      `an event, ${fleet.logs.size} processes; ${kinds}; ${seconds.toFixed(0)} s`,
  );
}

Deno.test("Redis: publish() and subscribe() lose and double nothing when everything fails at random", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-chaos-" });
  await using server = await RedisServer.start();
  await using stack = new AsyncDisposableStack();
  const proxies = [...CONSUMERS, ...PUBLISHERS].map(() => stack.use(new Proxy(server.port)));
  await chaos("Redis", SECONDS, {
    folder,
    store: await openStore(server.url),
    server,
    proxies,
    slot: (at) => ({
      url: proxies[at]!.url.href,
      client: at % 2 === 0 ? "@db/redis" : "node-redis",
      permissions: ["--allow-net=127.0.0.1", "--allow-env", "--allow-sys", `--allow-write=${folder}`],
    }),
  });
  await Deno.remove(folder, { recursive: true });
});

Deno.test("SQLite: publish() and subscribe() lose and double nothing when processes fail at random", async () => {
  const folder = await Deno.makeTempDir({ prefix: "tidings-chaos-" });
  const file = `${folder}/events.db`;
  await chaos("SQLite", SECONDS / 5, {
    folder,
    store: await SqliteStore.open(file),
    slot: () => ({
      url: `sqlite:${file}`,
      client: undefined,
      permissions: ["--allow-env", `--allow-read=${folder}`, `--allow-write=${folder}`],
    }),
  });
  await Deno.remove(folder, { recursive: true });
});
