import { assert, assertEquals } from "@std/assert";
import { connect, type EventBroker, type GroupInfo } from "@tidings/broker";
import type { Role } from "./_child.ts";
import { Counted } from "./_counted.ts";
import { Process, until } from "./_processes.ts";

/** Empty data for one test, which its processes share. */
export interface SharedData extends AsyncDisposable {
  readonly url: string;
  /** The permissions that a process needs to use the data: flags of `deno run`. */
  readonly permissions: readonly string[];
}

/** A test of processes: the numbers of its guarantees, its name and its body. */
export interface ProcessContract {
  readonly numbers: readonly number[];
  readonly title: string;
  body(bench: Bench): Promise<void>;
}

/** Fixture of one test: processes over the same data, and a broker in this process. */
export class Bench implements AsyncDisposable {
  readonly broker: EventBroker<typeof Counted>;
  #data: SharedData;
  #processes: Process[] = [];

  private constructor(data: SharedData, broker: EventBroker<typeof Counted>) {
    this.#data = data;
    this.broker = broker;
  }

  static async open(data: SharedData): Promise<Bench> {
    return new Bench(data, await connect(data.url, { events: [Counted] }));
  }

  /** Starts a process, which is killed after the test. */
  start(role: Role): Process {
    const process = new Process(this.#data.url, this.#data.permissions, role);
    this.#processes.push(process);
    return process;
  }

  /** Publishes `count` events in one call, numbered from `from`. */
  async publish(count: number, from = 0): Promise<Counted[]> {
    const events = Array.from({ length: count }, (_, i) => new Counted({ n: from + i }));
    await this.broker.publish(events);
    return events;
  }

  async group(name = "group"): Promise<GroupInfo> {
    const found = (await this.broker.info(Counted)).groups.find((group) => group.name === name);
    assert(found, `There is no group ${name}`);
    return found;
  }

  /** How many deliveries the store assigns to a process that has started a handler. */
  async heldBy(process: Process): Promise<number> {
    const [started] = process.said("started");
    return (await this.group()).consumers.find(({ name }) => name === started?.consumer)?.pending ?? 0;
  }

  /** Waits until the group has settled all events, and checks its number of dead letters. */
  async settled(deadLetters = 0): Promise<void> {
    let group: GroupInfo | undefined;
    await until(
      async () => (group = await this.group()).pending === 0 && group.lag === 0,
      () => `all events are settled: ${JSON.stringify(group)}`,
    );
    assertEquals(group!.deadLetters, deadLetters);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await Promise.all(this.#processes.map((process) => process.kill()));
    } finally {
      await this.broker.close();
      await this.#data[Symbol.asyncDispose]();
    }
  }
}

/** The ids of events. */
export function idsOf(events: readonly { readonly id: string }[]): string[] {
  return events.map(({ id }) => id);
}

/** Asserts the same ids with the same counts, in any order: none missing, none extra. */
export function assertSame(actual: readonly string[], expected: readonly string[]): void {
  const left = new Map<string, number>();
  for (const id of expected) left.set(id, (left.get(id) ?? 0) + 1);
  for (const id of actual) left.set(id, (left.get(id) ?? 0) - 1);
  const missing = [...left].filter(([, count]) => count > 0).map(([id]) => id);
  const extra = [...left].filter(([, count]) => count < 0).map(([id]) => id);
  assertEquals({ missing, extra }, { missing: [], extra: [] });
}

/** The handlers of one process until its death, and how many deliveries it held then. */
export interface Life {
  readonly started: readonly string[];
  readonly ended: readonly string[];
  readonly held: number;
}

/**
 * Asserts that only deliveries in flight at a death were repeated: those whose handlers ran, and the last handled ones that
 * were not settled, at most `most`.
 */
export function assertRepeats(lives: readonly Life[], most: number): void {
  const later = new Set<string>();
  for (const { started, ended, held } of lives.toReversed()) {
    assertSame(started, [...new Set(started)]);
    const repeated = started.filter((id) => later.has(id));
    assert(repeated.length <= held, `${repeated.length} events came again of ${held} in flight`);
    const unsettled = new Set(ended.slice(Math.max(0, ended.length - held)));
    const again = repeated.filter((id) => ended.includes(id));
    assertEquals(again.filter((id) => !unsettled.has(id)), []);
    assert(again.length <= most, `${again.length} handled events came again`);
    for (const id of started) later.add(id);
  }
}
