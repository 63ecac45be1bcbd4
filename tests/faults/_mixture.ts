import { assert, assertEquals } from "@std/assert";
import type { GroupInfo } from "@tidings/broker";
import { sleep } from "../../src/testing/_broker_bench.ts";
import { assertSame, Bench, idsOf } from "../processes/_bench.ts";
import { Counted } from "../processes/_counted.ts";
import { redisData, sqliteData } from "../processes/_data.ts";
import { type Process, until } from "../processes/_processes.ts";
import { RedisServer } from "../redis/_server.ts";
import { concurrently } from "./_concurrently.ts";
import { Chance } from "./_seed.ts";

const EVENTS_PER_DEATH = 150;
const ALIVE = 3;
const PREFETCH = 30;
const LEASE = 800;

/** Consumers under load that are killed, frozen and blocked at random, on a server that is killed with some of them. */
class Mixture {
  #bench: Bench;
  #chance: Chance;
  #server: RedisServer | undefined;
  #deaths: number;
  #count: number;
  #role: Parameters<Bench["start"]>[0];
  #blocking: number;
  #processes: Process[] = [];
  #alive: Process[] = [];
  /** How often each process may have lost its deliveries: it or the server was killed, or it was frozen. */
  #disturbances = new Map<Process, number>();

  /**
   * @param deaths How many consumers are killed.
   * @param server The server of the data. It is killed with one in five consumers.
   */
  constructor(bench: Bench, chance: Chance, deaths: number, server?: RedisServer) {
    this.#bench = bench;
    this.#chance = chance;
    this.#server = server;
    this.#deaths = deaths;
    this.#count = deaths * EVENTS_PER_DEATH;
    this.#blocking = chance.between(0, this.#count - 1);
    this.#role = {
      name: "consume",
      group: "group",
      lease: LEASE,
      prefetch: PREFETCH,
      concurrency: 5,
      takes: 3,
      retry: { maxAttempts: 1_000 },
      // The handler of this event blocks the event loop for longer than the lease.
      blocking: this.#blocking,
    };
  }

  async run(): Promise<void> {
    for (let n = 0; n < ALIVE; n++) this.#start();
    await this.#ready();
    const publishing = this.#publish();
    publishing.catch(() => {});
    for (let death = 0; death < this.#deaths; death++) await this.#strike(death);
    const published = await publishing;
    await this.#ready();
    // The first command after a restart of the server fails with the lost connection.
    await until(() => this.#bench.group().then(() => true, () => false), () => "the server answers");
    await this.#bench.settled();
    await this.#deadRemoved();
    await Promise.all(this.#alive.map((process) => process.end()));
    await this.#check(published);
  }

  /** Waits until live consumers have removed the dead ones from the group; after they left, none would. */
  async #deadRemoved(): Promise<void> {
    let consumers: GroupInfo["consumers"] = [];
    const removed = async () => {
      ({ consumers } = await this.#bench.group());
      return consumers.length === ALIVE && consumers.every(({ alive }) => alive);
    };
    await until(removed, () => `only live consumers are left in the group: ${JSON.stringify(consumers)}`);
  }

  #start(): void {
    const process = this.#bench.start(this.#role);
    this.#processes.push(process);
    this.#alive.push(process);
  }

  /** Waits until all consumers are ready; replaces those that ended since they could not connect. */
  async #ready(): Promise<void> {
    for (let starts = 0; starts < 2 * ALIVE; starts++) {
      const over = new Set<Process>();
      for (const process of this.#alive) void process.ended.then(() => over.add(process));
      const isReady = (process: Process) => process.said("ready").length > 0 && !over.has(process);
      const said = () =>
        JSON.stringify(this.#alive.map((process) => [...process.said("ready"), ...process.said("refused")]));
      await until(() => over.size > 0 || this.#alive.every(isReady), () => `all consumers are ready: ${said()}`);
      if (over.size === 0) return;
      this.#alive = this.#alive.filter((process) => !over.has(process));
      while (this.#alive.length < ALIVE) this.#start();
    }
    throw new Error("Cannot start a consumer: each one ended");
  }

  async #publish(): Promise<Counted[]> {
    const published: Counted[] = [];
    for (let from = 0; from < this.#count; from += 20) {
      published.push(...await this.#bench.publish(Math.min(20, this.#count - from), from));
      await sleep(30);
    }
    return published;
  }

  #disturbed(process: Process): void {
    this.#disturbances.set(process, (this.#disturbances.get(process) ?? 0) + 1);
  }

  async #strike(death: number): Promise<void> {
    const chance = this.#chance;
    await sleep(chance.between(0, 300));
    const [victim] = this.#alive.splice(chance.between(0, ALIVE - 1), 1) as [Process];
    this.#disturbed(victim);
    // One death in five includes the server, and at one in three another consumer is frozen for two leases.
    const withServer = this.#server !== undefined && death % 5 === 2;
    const stopped = death % 3 === 1 ? chance.pick(this.#alive) : undefined;
    stopped?.pause();
    await Promise.all([victim.kill(), withServer && this.#server!.kill()]);
    this.#start();
    if (withServer) {
      // No consumer could renew its lease meanwhile.
      for (const process of this.#alive) this.#disturbed(process);
      await sleep(chance.between(0, 300));
      await this.#server!.restart();
    }
    if (stopped === undefined) return;
    await sleep(2 * LEASE);
    stopped.resume();
    this.#disturbed(stopped);
  }

  async #check(published: readonly Counted[]): Promise<void> {
    assertEquals(published.length, this.#count);
    const history = await Array.fromAsync(this.#bench.broker.history(Counted));
    assertEquals(idsOf(history), idsOf(published));
    assertSame([...new Set(this.#processes.flatMap((process) => process.ids("ended")))], idsOf(published));
    const blocker = published[this.#blocking]!.id;
    const starts = new Map<string, { all: number; excused: number }>();
    let disturbances = 0;
    for (const process of this.#processes) {
      const blocked = process.said("started").some(({ id, recovered }) => id === blocker && recovered === 0);
      // A process may also lose its lease because the machine is busy.
      const times = (this.#disturbances.get(process) ?? 0) + Number(blocked || process.said("leaselost").length > 0);
      disturbances += times;
      for (const { id, attempt, recovered } of process.said("started")) {
        const count = starts.get(id!) ?? { all: 0, excused: 0 };
        starts.set(id!, { all: count.all + 1, excused: count.excused + Math.min(1, times) });
        // Only a death in exclusive delivery counts as an attempt: the third one.
        assert(attempt === 1 || recovered! > 2, `attempt ${attempt} after ${recovered} deaths`);
      }
      assertEquals([...process.said("retry"), ...process.said("deadletter")], []);
    }
    const again = [...starts].filter(([, { all, excused }]) => all > 1 && all > excused + 1).map(([id]) => id);
    assertEquals(again, []);
    const repeats = [...starts.values()].reduce((sum, { all }) => sum + all - 1, 0);
    assert(repeats <= disturbances * PREFETCH, `${repeats} came again after ${disturbances} disturbances`);
    assertEquals((await this.#bench.group()).consumers, []);
  }
}

/** Runs the same on each store, concurrently. */
export async function mix(chance: Chance, deaths: number): Promise<void> {
  // Each store has random numbers of its own, so that its run does not depend on the other's timing.
  const own = [chance.between(0, 2 ** 31 - 1), chance.between(0, 2 ** 31 - 1)].map((seed) => new Chance(seed));
  await concurrently({
    SQLite: async () => {
      await using bench = await Bench.open(await sqliteData());
      await new Mixture(bench, own[0]!, deaths).run();
    },
    Redis: async () => {
      const server = await RedisServer.start();
      await using bench = await Bench.open(redisData(server));
      await new Mixture(bench, own[1]!, deaths, server).run();
    },
  });
}
