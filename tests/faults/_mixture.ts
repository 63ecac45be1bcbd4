import { assert, assertEquals } from "@std/assert";
import { sleep } from "../../src/testing/_broker_bench.ts";
import { assertSame, type Bench, idsOf } from "../processes/_bench.ts";
import { Counted } from "../processes/_counted.ts";
import { type Process, until } from "../processes/_processes.ts";
import type { RedisServer } from "../redis/_server.ts";
import type { Chance } from "./_seed.ts";

const COUNT = 1_500;
const DEATHS = 10;
const ALIVE = 3;
const PREFETCH = 30;
const LEASE = 800;

/** Several consumers under load, whom chance kills, stops and blocks; with a server that is killed along with some. */
export class Mixture {
  #bench: Bench;
  #chance: Chance;
  #server: RedisServer | undefined;
  #role: Parameters<Bench["start"]>[0];
  #blocking: number;
  #processes: Process[] = [];
  #alive: Process[] = [];
  /** What befell each of them so that it may have lost what it held. */
  #disturbances = new Map<Process, number>();

  constructor(bench: Bench, chance: Chance, server?: RedisServer) {
    this.#bench = bench;
    this.#chance = chance;
    this.#server = server;
    this.#blocking = chance.between(0, COUNT - 1);
    this.#role = {
      name: "consume",
      group: "group",
      lease: LEASE,
      prefetch: PREFETCH,
      concurrency: 5,
      takes: 3,
      retry: { maxAttempts: 1_000 },
      // Its handler holds up the event loop for longer than the lease.
      blocking: this.#blocking,
    };
  }

  async run(): Promise<void> {
    for (let n = 0; n < ALIVE; n++) this.#start();
    await this.#ready();
    const publishing = this.#publish();
    publishing.catch(() => {});
    for (let death = 0; death < DEATHS; death++) await this.#strike(death);
    const published = await publishing;
    await this.#ready();
    // What is asked first learns that the server went away meanwhile.
    await until(() => this.#bench.group().then(() => true, () => false), () => "the server answers");
    await this.#bench.settled();
    await Promise.all(this.#alive.map((process) => process.end()));
    await this.#check(published);
  }

  #start(): void {
    const process = this.#bench.start(this.#role);
    this.#processes.push(process);
    this.#alive.push(process);
  }

  /** Waits until all are at work; who could not connect, and gave up, is started again. */
  async #ready(): Promise<void> {
    for (let starts = 0; starts < 2 * ALIVE; starts++) {
      const over = new Set<Process>();
      for (const process of this.#alive) void process.ended.then(() => over.add(process));
      const isAtWork = (process: Process) => process.said("ready").length > 0 && !over.has(process);
      const said = () =>
        JSON.stringify(this.#alive.map((process) => [...process.said("ready"), ...process.said("refused")]));
      await until(() => over.size > 0 || this.#alive.every(isAtWork), () => `all are at work: ${said()}`);
      if (over.size === 0) return;
      this.#alive = this.#alive.filter((process) => !over.has(process));
      while (this.#alive.length < ALIVE) this.#start();
    }
    throw new Error("Cannot start a consumer: each one gives up");
  }

  async #publish(): Promise<Counted[]> {
    const published: Counted[] = [];
    for (let from = 0; from < COUNT; from += 20) {
      published.push(...await this.#bench.publish(Math.min(20, COUNT - from), from));
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
    // Twice in ten the server goes with it, and once in three somebody else stands still for two leases.
    const withServer = this.#server !== undefined && death % 5 === 2;
    const stopped = death % 3 === 1 ? chance.pick(this.#alive) : undefined;
    stopped?.pause();
    await Promise.all([victim.kill(), withServer && this.#server!.kill()]);
    this.#start();
    if (withServer) {
      // Nobody could renew anything meanwhile.
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
    assertEquals(published.length, COUNT);
    const history = await Array.fromAsync(this.#bench.broker.history(Counted));
    assertEquals(idsOf(history), idsOf(published));
    assertSame([...new Set(this.#processes.flatMap((process) => process.ids("ended")))], idsOf(published));
    const blocker = published[this.#blocking]!.id;
    const starts = new Map<string, { all: number; excused: number }>();
    let disturbances = 0;
    for (const process of this.#processes) {
      const blocked = process.said("started").some(({ id, recovered }) => id === blocker && recovered === 0);
      // One that says so itself was too slow for its lease, on a machine that has other things to do.
      const times = (this.#disturbances.get(process) ?? 0) + Number(blocked || process.said("leaselost").length > 0);
      disturbances += times;
      for (const { id, attempt, recovered } of process.said("started")) {
        const count = starts.get(id!) ?? { all: 0, excused: 0 };
        starts.set(id!, { all: count.all + 1, excused: count.excused + Math.min(1, times) });
        // Only a death while alone counts, which is the third.
        assert(attempt === 1 || recovered! > 2, `attempt ${attempt} after ${recovered} deaths`);
      }
      assertEquals([...process.said("retry"), ...process.said("deadletter")], []);
    }
    const again = [...starts].filter(([, { all, excused }]) => all > 1 && all > excused + 1).map(([id]) => id);
    assertEquals(again, []);
    const repeats = [...starts.values()].reduce((sum, { all }) => sum + all - 1, 0);
    assert(repeats <= disturbances * PREFETCH, `${repeats} came again after ${disturbances} disturbances`);
    await until(async () => (await this.#bench.group()).consumers.length === 0, () => "nobody is left in the group");
  }
}
