import type { Fault as NetworkFault, Proxy } from "../redis/_proxy.ts";
import type { RedisServer } from "../redis/_server.ts";
import type { Fleet, FleetRole } from "./_chaos_fleet.ts";
import type { Chance } from "./_seed.ts";

/** A kind of fault, how often it is drawn relative to others, and what injects one. */
export type Fault = readonly [kind: string, weight: number, inject: () => Promise<void> | void];

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Injects faults that a seed chooses, and records them. */
export class Storm {
  readonly counts = new Map<string, number>();
  /** Times and faults, to explain a failure. */
  readonly entries: string[] = [];
  #random: Chance;
  #told: (entry: string) => void;
  #inFlight = new Set<Promise<void>>();
  #busy = new Set<string>();

  /** @param told Receives each entry at once. */
  constructor(random: Chance, told: (entry: string) => void = () => {}) {
    this.#random = random;
    this.#told = told;
  }

  /** Injects faults for this many seconds, then waits until all are undone. */
  async run(seconds: number, faults: readonly Fault[]): Promise<void> {
    for (const end = performance.now() + seconds * 1_000; performance.now() < end;) {
      await sleep(200 + this.#random.between(0, 999));
      const total = faults.reduce((sum, [, weight]) => sum + weight, 0);
      let drawn = this.#random.between(0, total - 1);
      const [kind, , inject] = faults.find(([, weight]) => (drawn -= weight) < 0)!;
      this.note(kind);
      const doing = Promise.resolve(inject()).catch((error) => this.note(`${kind} in vain`, error));
      this.#inFlight.add(doing);
      void doing.finally(() => this.#inFlight.delete(doing));
    }
    await Promise.all(this.#inFlight);
  }

  /** Counts a fault, and records it. */
  note(kind: string, detail: unknown = ""): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.tell(kind, String(detail));
  }

  /** Records what happened to a target. */
  tell(target: string, fault: string): void {
    const entry = `${Date.now()} ${target} ${fault}`;
    this.entries.push(entry);
    this.#told(entry);
  }

  /** Does the work. Rejects while such work on the same target is still going on, so that it counts as done in vain. */
  async exclusively(target: string, work: () => Promise<void>): Promise<void> {
    if (this.#busy.has(target)) throw new Error(`${target}: the last fault is not undone yet`);
    this.#busy.add(target);
    await work().finally(() => this.#busy.delete(target));
  }
}

/** Processes that are killed, frozen and asked to close. */
export function processFaults<R extends FleetRole>(storm: Storm, fleet: Fleet<R>, random: Chance): readonly Fault[] {
  const kill = () => {
    const slot = fleet.pick();
    if (slot === undefined) return;
    slot.end = "killed";
    storm.tell(slot.name, "killed");
    void slot.process.kill();
  };
  const freeze = async () => {
    const slot = fleet.pick();
    if (slot === undefined) return;
    const { process } = slot;
    process.pause();
    const ms = 200 + random.between(0, 3_999);
    storm.tell(slot.name, `frozen for ${ms} ms`);
    await sleep(ms);
    // It may have been killed and replaced meanwhile.
    if (slot.process === process) process.resume();
  };
  const terminate = () => {
    const slot = fleet.pick();
    if (slot === undefined) return;
    storm.tell(slot.name, "terminated");
    fleet.terminate(slot);
  };
  return [["process killed", 4, kill], ["process frozen", 3, freeze], ["process restarted", 3, terminate]];
}

/** A server that is killed and frozen, and the faults of the network between it and its clients. */
export function serverFaults(
  storm: Storm,
  server: RedisServer,
  proxies: readonly Proxy[],
  random: Chance,
): readonly Fault[] {
  const kill = () =>
    storm.exclusively("server", async () => {
      await server.kill();
      await sleep(random.between(0, 1_499));
      await server.restart();
      storm.tell("server", "is back");
    });
  const freeze = () =>
    storm.exclusively("server", async () => {
      server.pause();
      await sleep(100 + random.between(0, 1_999));
      server.resume();
      storm.tell("server", "goes on");
    });
  const proxy = () => random.pick(proxies);
  const inject = (fault: NetworkFault) => proxy().inject({ fault });
  const refuse = async () => {
    const one = proxy();
    one.refuse = true;
    one.cut();
    await sleep(1_000);
    one.refuse = false;
  };
  const delay = async () => {
    const one = proxy();
    one.delay = 1 + random.between(0, 49);
    await sleep(2_000);
    one.delay = 0;
  };
  return [
    ["server killed", 1, kill],
    ["server frozen", 1, freeze],
    ["connections cut", 4, () => proxy().cut()],
    ["connections refused", 1, refuse],
    ["replies delayed", 1, delay],
    ["reply lost", 2, () => inject("reply")],
    ["request torn", 2, () => inject("half")],
    ["connection swallowed", 1, () => inject("swallow")],
    ["connection half closed", 1, () => inject("half-close")],
  ];
}
