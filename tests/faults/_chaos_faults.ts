import type { EventBroker } from "@tidings/broker";
import type { EventStore, Position } from "../../src/store/mod.ts";
import type { Fault, Proxy } from "../redis/_proxy.ts";
import type { RedisServer } from "../redis/_server.ts";
import { Chaos, GROUPS } from "./_chaos_event.ts";
import type { Fleet } from "./_chaos_fleet.ts";
import type { Chance } from "./_seed.ts";

/** The targets of the faults. */
export interface Scene {
  readonly fleet: Fleet;
  readonly random: Chance;
  /** Connects directly, so that only faults of the server reach it. */
  readonly broker: EventBroker<typeof Chaos>;
  readonly store: EventStore;
  readonly server?: RedisServer;
  readonly proxies?: readonly Proxy[];
}

/** A rewind that was requested, and perhaps carried out. */
export interface Rewind {
  readonly at: number;
  readonly group: string;
  readonly to: Position;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Injects faults that a seed chooses, and records them. */
export class Faults {
  readonly counts = new Map<string, number>();
  readonly rewinds: Rewind[] = [];
  /** Times and faults, to explain a failure. */
  readonly entries: string[] = [];
  redriven = 0;
  trimmed = 0;
  #scene: Scene;
  #inFlight = new Set<Promise<void>>();
  #serverBusy = false;
  #kinds: readonly (readonly [kind: string, weight: number, fault: () => Promise<void> | void])[];

  constructor(scene: Scene) {
    this.#scene = scene;
    const everywhere = [
      ["process killed", 4, () => this.#kill()],
      ["process frozen", 3, () => this.#freeze()],
      ["process restarted", 3, () => this.#terminate()],
      ["group rewound", 1, () => this.#rewind()],
      ["letters redriven", 1, () => this.#redrive()],
      ["stream trimmed", 2, () => this.#trim()],
    ] as const;
    const server = [
      ["server killed", 1, () => this.#killServer()],
      ["server frozen", 1, () => this.#freezeServer()],
      ["connections cut", 4, () => this.#proxy().cut()],
      ["connections refused", 1, () => this.#refuse()],
      ["replies delayed", 1, () => this.#delay()],
      ["reply lost", 2, () => this.#inject("reply")],
      ["request torn", 2, () => this.#inject("half")],
      ["connection swallowed", 1, () => this.#inject("swallow")],
      ["connection half closed", 1, () => this.#inject("half-close")],
    ] as const;
    this.#kinds = scene.server === undefined ? everywhere : [...everywhere, ...server];
  }

  /** Injects faults for this many seconds, then waits until all are undone. */
  async run(seconds: number): Promise<void> {
    const { random } = this.#scene;
    for (const end = performance.now() + seconds * 1_000; performance.now() < end;) {
      await sleep(200 + random.between(0, 999));
      const total = this.#kinds.reduce((sum, [, weight]) => sum + weight, 0);
      let drawn = random.between(0, total - 1);
      const [kind, , fault] = this.#kinds.find(([, weight]) => (drawn -= weight) < 0)!;
      this.#note(kind);
      const doing = Promise.resolve(fault()).catch((error) => this.#note(`${kind} in vain`, error));
      this.#inFlight.add(doing);
      void doing.finally(() => this.#inFlight.delete(doing));
    }
    await Promise.all(this.#inFlight);
  }

  #note(kind: string, detail: unknown = ""): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.entries.push(`${Date.now()} ${kind} ${detail}`);
  }

  #kill(): void {
    const slot = this.#scene.fleet.pick();
    if (slot === undefined) return;
    slot.end = "killed";
    this.#tell(slot.name, "killed");
    void slot.process.kill();
  }

  #terminate(): void {
    const slot = this.#scene.fleet.pick();
    if (slot === undefined) return;
    slot.end = "terminated";
    this.#tell(slot.name, "terminated");
    slot.process.terminate();
  }

  async #freeze(): Promise<void> {
    const { fleet, random } = this.#scene;
    const slot = fleet.pick();
    if (slot === undefined) return;
    const { process } = slot;
    process.pause();
    const ms = 200 + random.between(0, 3_999);
    this.#tell(slot.name, `frozen for ${ms} ms`);
    await sleep(ms);
    // It may have been killed and replaced meanwhile.
    if (slot.process === process) process.resume();
  }

  #tell(target: string, fault: string): void {
    this.entries.push(`${Date.now()} ${target} ${fault}`);
  }

  async #rewind(): Promise<void> {
    const { broker, store, random } = this.#scene;
    const group = random.pick(GROUPS);
    // Never forward: that would skip events which the group has not read.
    const { floor } = (await store.admin("events:Chaos").info()).groups.find(({ name }) => name === group)!;
    const back = { reverse: true, limit: 1 + random.between(0, 199), ...(floor && { to: floor }) };
    let to: Position | undefined;
    for await (const { position } of broker.history(Chaos, back)) to = position;
    if (to === undefined) return;
    // Recorded before the request: it may be carried out although its reply is lost.
    this.rewinds.push({ at: Date.now(), group, to });
    const { dropped } = await broker.rewind(Chaos, { group, to });
    this.#tell(group, `rewound to ${to}, ${dropped} dropped`);
  }

  async #redrive(): Promise<void> {
    const { broker, random } = this.#scene;
    const group = random.pick(GROUPS);
    const count = await broker.redrive(Chaos, { group });
    this.redriven += count;
    this.#tell(group, `${count} redriven`);
  }

  async #trim(): Promise<void> {
    const { store, random } = this.#scene;
    const { removed } = await store.admin("events:Chaos").trim({ maxLength: random.pick([0, 1, 50]) });
    this.trimmed += removed;
    this.#tell("stream", `trimmed by ${removed}`);
  }

  // One fault of the server at a time.
  async #exclusively(work: (server: RedisServer) => Promise<void>): Promise<void> {
    if (this.#serverBusy) return;
    this.#serverBusy = true;
    await work(this.#scene.server!).finally(() => this.#serverBusy = false);
  }

  #killServer(): Promise<void> {
    return this.#exclusively(async (server) => {
      await server.kill();
      await sleep(this.#scene.random.between(0, 1_499));
      await server.restart();
      this.#tell("server", "is back");
    });
  }

  #freezeServer(): Promise<void> {
    return this.#exclusively(async (server) => {
      server.pause();
      await sleep(100 + this.#scene.random.between(0, 1_999));
      server.resume();
      this.#tell("server", "goes on");
    });
  }

  #proxy(): Proxy {
    return this.#scene.random.pick(this.#scene.proxies!);
  }

  #inject(fault: Fault): void {
    this.#proxy().inject({ fault });
  }

  async #refuse(): Promise<void> {
    const proxy = this.#proxy();
    proxy.refuse = true;
    proxy.cut();
    await sleep(1_000);
    proxy.refuse = false;
  }

  async #delay(): Promise<void> {
    const proxy = this.#proxy();
    proxy.delay = 1 + this.#scene.random.between(0, 49);
    await sleep(2_000);
    proxy.delay = 0;
  }
}
