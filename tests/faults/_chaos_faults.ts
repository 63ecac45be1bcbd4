import type { EventBroker } from "@tidings/broker";
import type { EventStore, Position } from "../../src/store/mod.ts";
import type { Fault, Proxy } from "../redis/_proxy.ts";
import type { RedisServer } from "../redis/_server.ts";
import { Chaos, GROUPS } from "./_chaos_event.ts";
import type { Fleet } from "./_chaos_fleet.ts";
import type { Chance } from "./_seed.ts";

/** What faults are done to. */
export interface Scene {
  readonly fleet: Fleet;
  readonly random: Chance;
  /** An observer's, which no fault reaches but those of the server. */
  readonly broker: EventBroker<typeof Chaos>;
  readonly store: EventStore;
  readonly server?: RedisServer;
  readonly proxies?: readonly Proxy[];
}

/** A group was set back, for all that anybody can tell. */
export interface Rewind {
  readonly at: number;
  readonly group: string;
  readonly to: Position;
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Does faults as a seeded hand chooses them, and keeps account. */
export class Faults {
  readonly counts = new Map<string, number>();
  readonly rewinds: Rewind[] = [];
  /** What happened when, for whoever looks into a failure. */
  readonly diary: string[] = [];
  redriven = 0;
  trimmed = 0;
  #scene: Scene;
  #underWay = new Set<Promise<void>>();
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
      ["answers delayed", 1, () => this.#delay()],
      ["answer lost", 2, () => this.#inject("reply")],
      ["request torn", 2, () => this.#inject("half")],
      ["connection swallowed", 1, () => this.#inject("swallow")],
      ["connection half closed", 1, () => this.#inject("half-close")],
    ] as const;
    this.#kinds = scene.server === undefined ? everywhere : [...everywhere, ...server];
  }

  /** Does faults for so many seconds, then undoes all that lasts. */
  async rage(seconds: number): Promise<void> {
    const { random } = this.#scene;
    for (const end = performance.now() + seconds * 1_000; performance.now() < end;) {
      await sleep(200 + random.between(0, 999));
      const total = this.#kinds.reduce((sum, [, weight]) => sum + weight, 0);
      let drawn = random.between(0, total - 1);
      const [kind, , fault] = this.#kinds.find(([, weight]) => (drawn -= weight) < 0)!;
      this.#note(kind);
      const doing = Promise.resolve(fault()).catch((error) => this.#note(`${kind} in vain`, error));
      this.#underWay.add(doing);
      void doing.finally(() => this.#underWay.delete(doing));
    }
    await Promise.all(this.#underWay);
  }

  #note(kind: string, detail: unknown = ""): void {
    this.counts.set(kind, (this.counts.get(kind) ?? 0) + 1);
    this.diary.push(`${Date.now()} ${kind} ${detail}`);
  }

  #kill(): void {
    const berth = this.#scene.fleet.pick();
    if (berth === undefined) return;
    berth.end = "killed";
    this.#tell(berth.name, "killed");
    void berth.process.kill();
  }

  #terminate(): void {
    const berth = this.#scene.fleet.pick();
    if (berth === undefined) return;
    berth.end = "terminated";
    this.#tell(berth.name, "terminated");
    berth.process.terminate();
  }

  async #freeze(): Promise<void> {
    const { fleet, random } = this.#scene;
    const berth = fleet.pick();
    if (berth === undefined) return;
    const { process } = berth;
    process.pause();
    const ms = 200 + random.between(0, 3_999);
    this.#tell(berth.name, `frozen for ${ms} ms`);
    await sleep(ms);
    // It may have been killed meanwhile.
    if (berth.process === process) process.resume();
  }

  #tell(who: string, what: string): void {
    this.diary.push(`${Date.now()} ${who} ${what}`);
  }

  async #rewind(): Promise<void> {
    const { broker, store, random } = this.#scene;
    const group = random.pick(GROUPS);
    // Never forward, which would pass over what the group has not read: that is what rewinding there means.
    const { floor } = (await store.admin("events:Chaos").info()).groups.find(({ name }) => name === group)!;
    const back = { reverse: true, limit: 1 + random.between(0, 199), ...(floor && { to: floor }) };
    let to: Position | undefined;
    for await (const { position } of broker.history(Chaos, back)) to = position;
    if (to === undefined) return;
    // Before it is asked for: without an answer it may have happened all the same.
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

  // One thing at a time, and not while it is down.
  async #alone(work: (server: RedisServer) => Promise<void>): Promise<void> {
    if (this.#serverBusy) return;
    this.#serverBusy = true;
    await work(this.#scene.server!).finally(() => this.#serverBusy = false);
  }

  #killServer(): Promise<void> {
    return this.#alone(async (server) => {
      await server.kill();
      await sleep(this.#scene.random.between(0, 1_499));
      await server.restart();
      this.#tell("server", "is back");
    });
  }

  #freezeServer(): Promise<void> {
    return this.#alone(async (server) => {
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
