import { type Case, idOf } from "./_case.ts";
import { bothCase } from "./cases/both.ts";
import { clusterCase } from "./cases/cluster.ts";
import { ASYNC_BY_SUBJECT, consumeCase, HANDLINGS, SYNC_1, SYNC_BY_SUBJECT } from "./cases/consume.ts";
import { latencyCase } from "./cases/latency.ts";
import { lostConsumerCase } from "./cases/lost_consumer.ts";
import { memoryCase } from "./cases/memory.ts";
import { IDLE_PING, pingCase } from "./cases/ping.ts";
import { processesCase } from "./cases/processes.ts";
import { BATCHES, LOOP, ONE_AT_A_TIME, publishCase, ROLLING_500, SHAPES } from "./cases/publish.ts";
import { redisBenchmarkCases } from "./cases/redis_benchmark.ts";
import { startUpCase } from "./cases/start_up.ts";
import { subjectIndexCase } from "./cases/subject_index.ts";
import { throughCase } from "./cases/through.ts";
import { twoProcessesCase } from "./cases/two_processes.ts";
import { WEIGHT } from "./cases/weight.ts";
import { writingSystems } from "./systems/batches.ts";
import { emitterSystems } from "./systems/emitters.ts";
import { insertSystem } from "./systems/insert.ts";
import { NODE_REDIS, PAIRS, PEERS } from "./systems/mod.ts";
import { partitionedSystems } from "./systems/partitions.ts";
import { rawSystem } from "./systems/raw.ts";
import { scheduledSystems } from "./systems/scheduled.ts";
import { revisedSystems } from "./systems/revisions.ts";
import type { System } from "./systems/_system.ts";
import { telemetrySystems } from "./systems/telemetry.ts";
import { checkedSystems, memorySystem, sqliteSystem } from "./systems/tidings.ts";

// Other sizes in bytes, each with the number of events that a run of about a second takes.
const OTHER_SIZES = [[100, 50_000], [2_048, 20_000], [65_536, 1_500]] as const;
// Peers are much slower, so fewer events are enough.
const PEER_COUNT = 10_000;

function* publishCases(): Generator<Case> {
  for (const shape of SHAPES) {
    const benchmark = redisBenchmarkCases(shape, 190);
    const peers = PEERS.map((peer) => publishCase(peer, shape, 190, { count: Math.min(shape.count, PEER_COUNT) }));
    const bulk = shape.name === BATCHES.name ? PEERS.filter((peer) => peer.name === "BullMQ") : [];
    const bulks = bulk.map((peer) => publishCase(peer, BATCHES, 190, { suffix: ", addBulk" }));
    const others = [...benchmark, ...peers, ...bulks].map(({ name }) => name);
    for (const { client, raw, tidings } of PAIRS) {
      yield publishCase(raw, shape, 190);
      const against = [raw.name, ...(client === "node-redis" ? others : [])];
      yield publishCase(tidings, shape, 190, { against });
    }
    yield* [...benchmark, ...peers, ...bulks];
    const insert = shape.name === BATCHES.name ? BATCHES : LOOP;
    yield publishCase(sqliteSystem, shape, 190, { against: [insertSystem.name] });
    yield { ...publishCase(insertSystem, insert, 190), group: publishCase(insertSystem, shape, 190).group };
    yield publishCase(memorySystem, shape, 190);
    if (shape.name !== BATCHES.name) continue;
    for (const system of [NODE_REDIS.tidings, sqliteSystem, memorySystem]) {
      yield publishCase(system, BATCHES, 190, { suffix: ", arrays" });
    }
  }
  for (const [bytes, count] of OTHER_SIZES) {
    const benchmark = redisBenchmarkCases(ROLLING_500, bytes, count);
    for (const { raw, tidings } of PAIRS) {
      yield publishCase(raw, ROLLING_500, bytes, { count });
      const against = [raw.name, ...benchmark.map(({ name }) => name)];
      yield publishCase(tidings, ROLLING_500, bytes, { count, against });
    }
    yield* benchmark;
    for (const system of [sqliteSystem, memorySystem]) yield publishCase(system, ROLLING_500, bytes, { count });
  }
}

function* consumeCases(): Generator<Case> {
  const ahead = rawSystem("node-redis", { ahead: true });
  for (const handling of HANDLINGS) {
    const peers = handling.concurrency < 50 || handling.key ? [] : PEERS;
    for (const { client, raw, tidings } of PAIRS) {
      yield consumeCase(raw, handling, 190);
      const more = client === "node-redis" ? [ahead, ...peers].map(({ name }) => name) : [];
      yield consumeCase(tidings, handling, 190, { against: [raw.name, ...more] });
    }
    yield consumeCase(ahead, handling, 190);
    for (const peer of peers) yield consumeCase(peer, handling, 190, { count: PEER_COUNT });
    for (const system of [sqliteSystem, memorySystem]) yield consumeCase(system, handling, 190);
  }
  for (const [bytes, count] of OTHER_SIZES) {
    for (const { raw, tidings } of PAIRS) {
      yield consumeCase(raw, SYNC_1, bytes, { count });
      yield consumeCase(tidings, SYNC_1, bytes, { count, against: [raw.name] });
    }
    for (const system of [sqliteSystem, memorySystem]) yield consumeCase(system, SYNC_1, bytes, { count });
  }
}

/** The cost of a schema, for publishing and for consuming. */
function* checkedCases(): Generator<Case> {
  for (const { plain, checked } of checkedSystems) {
    for (const system of checked) {
      yield publishCase(system, ROLLING_500, 190, { against: [plain] });
      yield consumeCase(system, SYNC_1, 190, { against: [plain] });
    }
  }
}

/** The cost of telemetry, for publishing and for consuming. */
function* telemetryCases(): Generator<Case> {
  for (const { plain, instrumented } of telemetrySystems) {
    for (const system of instrumented) {
      yield publishCase(system, ROLLING_500, 190, { against: [plain] });
      yield consumeCase(system, SYNC_1, 190, { against: [plain] });
    }
  }
}

/** The cost of numbering the events of each subject: by `appendRevised` instead of `append`. */
function* revisedCases(): Generator<Case> {
  for (const { plain, revised } of revisedSystems) {
    for (const shape of [ROLLING_500, ONE_AT_A_TIME]) {
      yield publishCase(plain, shape, 190);
      yield publishCase(revised, shape, 190, { against: [plain.name] });
    }
  }
}

/** The cost of publishing later instead of at once. */
function* scheduledCases(): Generator<Case> {
  for (const { plain, scheduled } of scheduledSystems) {
    for (const shape of [ROLLING_500, ONE_AT_A_TIME]) {
      yield publishCase(plain, shape, 190);
      yield publishCase(scheduled, shape, 190, { against: [plain.name] });
    }
  }
}

/** The cost of partitions: of 1, 8 and 64 beside a stream without partitions; and how processes share them. */
function* partitionedCases(): Generator<Case> {
  const [plain, ...others] = partitionedSystems as [System, ...System[]];
  const against = { against: [plain.name] };
  for (const shape of [ROLLING_500, ONE_AT_A_TIME]) {
    yield publishCase(plain, shape, 190);
    for (const system of others) yield publishCase(system, shape, 190, against);
  }
  const live = { against: [`${plain.name}, ${ROLLING_500.name}`] };
  for (const handling of [SYNC_BY_SUBJECT, ASYNC_BY_SUBJECT]) {
    yield consumeCase(plain, handling, 190);
    for (const system of others) yield consumeCase(system, handling, 190, against);
    yield bothCase(plain, ROLLING_500, handling, 190);
    for (const system of others) yield bothCase(system, ROLLING_500, handling, 190, against);
    yield throughCase(plain, ROLLING_500, handling, 190);
    for (const system of others) yield throughCase(system, ROLLING_500, handling, 190, live);
  }
  yield clusterCase(plain);
  for (const system of others) yield clusterCase(system, against.against);
  for (const processes of [1, 2, 4, 8]) yield processesCase(processes);
  for (const revisions of [false, true]) yield subjectIndexCase(revisions);
}

/** The gain of handling events in batches, where the handler writes to a database. */
function* batchCases(): Generator<Case> {
  const handling = { ...SYNC_1, name: "a handler that writes to SQLite" };
  for (const { single, batches } of writingSystems) {
    yield consumeCase(single, handling, 190, { count: 20_000 });
    yield consumeCase(batches, handling, 190, { count: 20_000, against: [single.name] });
  }
}

function* otherCases(): Generator<Case> {
  for (const { raw, tidings } of PAIRS) {
    yield twoProcessesCase(raw);
    yield twoProcessesCase(tidings, [raw.name, ...PEERS.map(({ name }) => name)]);
  }
  yield twoProcessesCase(sqliteSystem);
  for (const peer of PEERS) yield twoProcessesCase(peer, [], PEER_COUNT);

  const emitters = emitterSystems.map((emitter) => throughCase(emitter, LOOP, SYNC_1, 190));
  yield throughCase(memorySystem, ROLLING_500, SYNC_1, 190, { against: emitters.map(({ name }) => name) });
  yield* emitters;

  const all = [...PAIRS.flatMap(({ raw, tidings }) => [raw, tidings]), sqliteSystem, memorySystem, ...PEERS];
  for (const rate of [500, "half its top rate"] as const) for (const system of all) yield latencyCase(system, rate);

  yield IDLE_PING;
  for (const system of [NODE_REDIS.raw, NODE_REDIS.tidings]) yield pingCase(system);
  for (const peer of PEERS) yield pingCase(peer, PEER_COUNT);

  for (const system of [NODE_REDIS.raw, NODE_REDIS.tidings]) yield memoryCase(system, 190);
  for (const peer of PEERS) yield memoryCase(peer, 190, PEER_COUNT);

  for (const lease of [1_000, undefined]) {
    for (const system of [NODE_REDIS.tidings, sqliteSystem]) yield lostConsumerCase(system, lease);
  }

  yield startUpCase("nothing but Deno", () => "nothing:");
  yield startUpCase("in memory", () => "memory:");
  yield startUpCase("SQLite", ({ folder, run }) => `sqlite:${folder}/${run}.db`);
  yield startUpCase("Redis", ({ redis }) => redis);
  yield WEIGHT;
}

/** The cases that match `only`, and the cases that these are compared with. */
export function chooseCases(only: RegExp, quick: boolean): Case[] {
  const all = [
    ...publishCases(),
    ...consumeCases(),
    ...checkedCases(),
    ...telemetryCases(),
    ...revisedCases(),
    ...scheduledCases(),
    ...partitionedCases(),
    ...batchCases(),
    ...otherCases(),
  ].filter((
    { slow },
  ) => !(slow && quick));
  const chosen = new Set(all.filter((each) => only.test(idOf(each))).map(idOf));
  for (const each of all) {
    if (!only.test(idOf(each))) continue;
    for (const name of each.against ?? []) chosen.add(idOf({ group: each.group, name }));
  }
  return all.filter((each) => chosen.has(idOf(each)));
}
