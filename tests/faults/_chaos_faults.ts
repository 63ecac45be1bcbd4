import type { EventBroker } from "@tidings/broker";
import type { EventStore, Position } from "../../src/store/mod.ts";
import type { Proxy } from "../redis/_proxy.ts";
import type { RedisServer } from "../redis/_server.ts";
import { Chaos, type ChaosRole, GROUPS } from "./_chaos_event.ts";
import type { Fleet } from "./_chaos_fleet.ts";
import type { Chance } from "./_seed.ts";
import { processFaults, serverFaults, Storm } from "./_storm.ts";

/** The targets of the faults. */
export interface Scene {
  readonly fleet: Fleet<ChaosRole>;
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

/** All faults of the chaos test: of processes, of the server and its network, and work of operators. */
export class Faults {
  readonly storm: Storm;
  readonly rewinds: Rewind[] = [];
  redriven = 0;
  trimmed = 0;
  #scene: Scene;

  constructor(scene: Scene) {
    this.#scene = scene;
    this.storm = new Storm(scene.random);
  }

  /** Injects faults for this many seconds, then waits until all are undone. */
  async run(seconds: number): Promise<void> {
    const { fleet, random, server, proxies } = this.#scene;
    await this.storm.run(seconds, [
      ...processFaults(this.storm, fleet, random),
      ["group rewound", 1, () => this.#rewind()],
      ["letters redriven", 1, () => this.#redrive()],
      ["stream trimmed", 2, () => this.#trim()],
      ...server === undefined ? [] : serverFaults(this.storm, server, proxies!, random),
    ]);
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
    this.storm.tell(group, `rewound to ${to}, ${dropped} dropped`);
  }

  async #redrive(): Promise<void> {
    const { broker, random } = this.#scene;
    const group = random.pick(GROUPS);
    const count = await broker.redrive(Chaos, { group });
    this.redriven += count;
    this.storm.tell(group, `${count} redriven`);
  }

  async #trim(): Promise<void> {
    const { store, random } = this.#scene;
    const { removed } = await store.admin("events:Chaos").trim({ maxLength: random.pick([0, 1, 50]) });
    this.trimmed += removed;
    this.storm.tell("stream", `trimmed by ${removed}`);
  }
}
