import { assert, assertEquals } from "@std/assert";
import {
  type BrokerOptions,
  type DeadLetter,
  EventBroker,
  type GroupInfo,
  PublishTimeoutError,
  type RetryOptions,
  type Subscription,
  UncertainPublishError,
} from "../broker/mod.ts";
import { defineEvent, type DomainEvent, type EventClass } from "../events/mod.ts";
import type { ClaimedRecord, EventStore, Outcome, Position } from "../store/mod.ts";
import type { Contract } from "./_contract.ts";
import { Renewals } from "./_renewals.ts";

/** Features that a backend may lack. */
export type BrokerFeature = "store" | "clock";

/** Data made for one test, and ways to open it. */
export interface BrokerUnderTest extends AsyncDisposable {
  /** Opens one more broker over the same data, as another process would. */
  connect<C extends EventClass>(
    events: readonly C[],
    options?: Omit<BrokerOptions<C>, "events">,
  ): Promise<EventBroker<C>>;
  /** Opens a store over the same data, without a broker: for dead consumers, entries of other writers, and faults. */
  store?(): Promise<EventStore>;
  /** The clock of all those stores: it runs, and a test can make it jump. */
  readonly clock?: {
    /** Moves the clock by `ms` milliseconds; a negative number moves it back. */
    advance(ms: number): void;
  };
}

/** The event that most tests publish. */
export class Counted extends defineEvent("Counted")<{ n: number; key?: string }> {}
/** A second event type, to show that types stay apart. */
export class Other extends defineEvent("Other")<{ n: number }> {}

/** The stream of `Counted`. */
export const STREAM = "events:Counted";

/** Retry options: retries that come soon, without a limit. */
export const SOON = { minTimeout: 5, maxTimeout: 20, maxAttempts: Infinity } as const satisfies RetryOptions;

/** A lease that a test can wait for, in milliseconds. */
export const LEASE = 300;

export type BrokerContract = Contract<BrokerBench, BrokerFeature>;

/** One contract of brokers: its guarantee numbers, its name and its test. */
export function contract(
  numbers: string,
  title: string,
  body: (bench: BrokerBench) => Promise<void>,
  ...needs: BrokerFeature[]
): BrokerContract {
  return { numbers: numbers === "" ? [] : numbers.split(", ").map(Number), title, body, needs };
}

/** Fixture of one test: brokers over the same data, and helpers that many tests need. */
export class BrokerBench {
  readonly under: BrokerUnderTest;
  #open: AsyncDisposable[] = [];

  constructor(under: BrokerUnderTest) {
    this.under = under;
  }

  async close(): Promise<void> {
    const failures: unknown[] = [];
    for (const opened of this.#open.reverse()) {
      await Promise.resolve(opened[Symbol.asyncDispose]()).catch((error) => failures.push(error));
    }
    await this.under[Symbol.asyncDispose]();
    assertEquals(failures, []);
  }

  /** Opens another broker, closed after the test. Its errors fail the test unless the test listens. */
  async broker(options: Omit<BrokerOptions<typeof Counted>, "events"> = {}): Promise<EventBroker<typeof Counted>> {
    return await this.connect([Counted], options);
  }

  async connect<C extends EventClass>(
    events: readonly C[],
    options?: Omit<BrokerOptions<C>, "events">,
  ): Promise<EventBroker<C>> {
    return this.#kept(await this.under.connect(events, options));
  }

  /** Opens a broker over a store that the test wraps around a real one. */
  async over<C extends EventClass>(
    wrap: (store: EventStore) => EventStore,
    options: BrokerOptions<C>,
  ): Promise<EventBroker<C>> {
    return this.#kept(new EventBroker(wrap(await this.#openStore()), options));
  }

  /** A store over the same data, without a broker; closed after the test. */
  async store(): Promise<EventStore> {
    return this.#kept(await this.#openStore());
  }

  /** Watches how leases of this length, in milliseconds, are renewed until the test ends. */
  watchRenewals(lease: number): Renewals {
    return this.#kept(new Renewals(lease));
  }

  async #openStore(): Promise<EventStore> {
    assert(this.under.store, "There is no store: give one, or skip the feature with a reason");
    return await this.under.store();
  }

  #kept<T extends AsyncDisposable>(opened: T): T {
    this.#open.push(opened);
    return opened;
  }

  get clock(): NonNullable<BrokerUnderTest["clock"]> {
    assert(this.under.clock, "There is no clock to move: give one, or skip the feature with a reason");
    return this.under.clock;
  }

  /** A consumer claims `limit` entries and dies; resolves when its lease has expired. */
  async die(
    store: EventStore,
    limit: number,
    { group = "group", stream = STREAM, lease = 100, outcomes = () => [] }: {
      readonly group?: string;
      readonly stream?: string;
      readonly lease?: number;
      readonly outcomes?: (taken: readonly ClaimedRecord[]) => readonly Outcome[];
    } = {},
  ): Promise<readonly ClaimedRecord[]> {
    const consumer = `mortal-${crypto.randomUUID().slice(0, 8)}`;
    const member = await store.member(stream, group, { consumer, lease, startFrom: "beginning" });
    const taken: ClaimedRecord[] = [];
    while (taken.length < limit) {
      const claim = await member.claim({ limit: limit - taken.length, signal: AbortSignal.timeout(5_000) });
      assert(claim.records.length > 0, `A claim timed out; the consumer has ${taken.length} of ${limit} entries`);
      taken.push(...claim.records);
    }
    const settling = outcomes(taken);
    if (settling.length > 0) assertEquals(await member.settle(settling), []);
    this.under.clock?.advance(lease);
    await until(async () => {
      const state = (await store.admin(stream).info()).groups.find(({ name }) => name === group);
      return state?.consumers.find(({ name }) => name === member.consumer)?.alive !== true;
    }, "the lease of the dead consumer has run out");
    return taken;
  }
}

/** New events, numbered from `from`. */
export function counted(count: number, from = 0, key?: (n: number) => string): Counted[] {
  return Array.from({ length: count }, (_, i) => {
    const n = from + i;
    return new Counted(key === undefined ? { n } : { n, key: key(n) });
  });
}

/** Repeats a publish until the store has replied: with a short `publishTimeout`, a busy machine may be too slow for it. */
export async function insist<T>(publish: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      if (!(error instanceof UncertainPublishError || error instanceof PublishTimeoutError)) throw error;
    }
  }
}

/** Polls until the condition holds; `what` describes it as a sentence. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  timeout = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeout;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`Timed out after ${timeout} ms: waited until ${what}`);
    await sleep(2);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

type Named = string | { readonly id: string };

const idOf = (item: Named): string => typeof item === "string" ? item : item.id;

/** Asserts that both hold the same ids, equally often, in any order. */
export function assertSame(actual: readonly Named[], expected: readonly Named[]): void {
  const left = new Map<string, number>();
  for (const item of expected) left.set(idOf(item), (left.get(idOf(item)) ?? 0) + 1);
  for (const item of actual) left.set(idOf(item), (left.get(idOf(item)) ?? 0) - 1);
  const missing = [...left].filter(([, count]) => count > 0).map(([id]) => id);
  const extra = [...left].filter(([, count]) => count < 0).map(([id]) => id);
  assertEquals({ missing, extra }, { missing: [], extra: [] });
}

/** Asserts that both hold the same ids in the same order. */
export function assertOrder(actual: readonly Named[], expected: readonly Named[]): void {
  assertSame(actual, expected);
  assertEquals(actual.map(idOf), expected.map(idOf));
}

/** Collects the events that handlers receive. */
export class Seen<E extends DomainEvent = DomainEvent> {
  readonly events: E[] = [];
  /** The handler to subscribe. */
  readonly handler = (event: E): void => void this.events.push(event);

  get ids(): string[] {
    return this.events.map(({ id }) => id);
  }

  get distinct(): number {
    return new Set(this.ids).size;
  }

  /** Waits until `count` different events have been handled. */
  async count(count: number, timeout?: number): Promise<void> {
    await until(() => this.distinct >= count, `${count} events have been handled`, timeout).catch((error) => {
      throw new Error(`${error.message}; ${this.distinct} have been handled`);
    });
  }
}

/** A group as `info` shows it. */
export async function groupOf<C extends EventClass>(
  broker: EventBroker<C>,
  event: C,
  group = "group",
): Promise<GroupInfo> {
  const found = (await broker.info(event)).groups.find(({ name }) => name === group);
  assert(found, `There is no group ${group}`);
  return found;
}

/** Waits until the group has settled every event. */
export async function settled<C extends EventClass>(
  broker: EventBroker<C>,
  event: C,
  group = "group",
  timeout?: number,
): Promise<void> {
  await until(
    async () => {
      const { pending, lag } = await groupOf(broker, event, group);
      return pending === 0 && lag === 0;
    },
    `group ${group} has settled everything`,
    timeout,
  );
}

/** The dead letters of a group. */
export async function lettersOf<C extends EventClass>(
  broker: EventBroker<C>,
  event: C,
  group = "group",
): Promise<DeadLetter<InstanceType<C>>[]> {
  return await Array.fromAsync(broker.deadLetters(event, { group }));
}

/** Collects the lifecycle events of one type, in order. */
export function told<T extends Event>(target: Subscription | EventBroker, type: string): T[] {
  const events: T[] = [];
  (target as EventTarget).addEventListener(type, (event) => void events.push(event as T));
  return events;
}

/** Rejects when the promise has not settled in time. */
export async function within<T>(promise: PromiseLike<T>, what: string, timeout = 10_000): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`Timed out after ${timeout} ms: waited for ${what}`)), timeout);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A gate that handlers wait at until it is opened. */
export class Gate {
  #open!: () => void;
  readonly opened: Promise<void> = new Promise((resolve) => this.#open = resolve);

  open(): void {
    this.#open();
  }
}

export function positionsOf(records: readonly { readonly position: Position | undefined }[]): (Position | undefined)[] {
  return records.map(({ position }) => position);
}
