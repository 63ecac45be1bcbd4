import { assert, assertEquals } from "@std/assert";
import type {
  AppendOptions,
  Claim,
  ClaimedRecord,
  EventStore,
  Fields,
  GroupMember,
  GroupState,
  LetterRecord,
  MemberOptions,
  Outcome,
  Position,
  ReadRange,
  StoredRecord,
  StreamAdmin,
} from "../store/mod.ts";
import type { Contract } from "./_contract.ts";

// A claim of a Redis store checks the group, looks for returned deliveries, checks it again, reads, and may read its control.
const MOST_ROUND_TRIPS = 5;

/** Features that a store may lack. */
export type StoreFeature = "second-store" | "clock";

/** A store opened for one test, and the test's control over it. */
export interface StoreUnderTest extends AsyncDisposable {
  /** The store, empty. */
  readonly store: EventStore;
  /** Opens another store over the same data, as another process or a restart would. */
  reopen?(): Promise<EventStore>;
  /**
   * How long a claim waits for entries, in milliseconds, before a test takes it that there are none. On top of it the
   * store is given the time of one call of `info`.
   *
   * @default {15}
   */
  readonly moment?: number;
  /** The store's clock, which stands still until a test moves it; without it the suite waits. */
  readonly clock?: {
    now(): number;
    /** Moves the clock by `ms` milliseconds; a negative number moves it back. */
    advance(ms: number): void;
  };
}

// A test may take longer than this between two steps: no assertion may depend on it.
const SHORT = 60;
// A timer may fire slightly early as measured by another clock.
const TOLERANCE = 5;
/** A lease or delay that never passes during a test. */
export const LONG = 120_000;

export type StoreContract = Contract<Bench, StoreFeature>;

/** One contract of the port: its guarantee numbers, its name and its test. */
export function contract(
  numbers: string,
  title: string,
  body: (bench: Bench) => Promise<void>,
  ...needs: StoreFeature[]
): StoreContract {
  return { numbers: numbers.split(", ").map(Number), title, body, needs };
}

/** Fixture of one test: a store with one stream, and helpers that many tests need. */
export class Bench {
  readonly store: EventStore;
  readonly stream = "Stream";
  readonly admin: StreamAdmin;
  readonly signal: AbortSignal;
  #under: StoreUnderTest;
  #opened: EventStore[] = [];
  #members = new Set<GroupMember>();
  #appended = 0;
  #deadline = new AbortController();
  #timer: ReturnType<typeof setTimeout>;

  constructor(under: StoreUnderTest) {
    this.#under = under;
    this.store = under.store;
    this.admin = under.store.admin(this.stream);
    // A contract that hangs must fail its own test only.
    this.#timer = setTimeout(() => this.#deadline.abort(new Error("Cannot finish the test: it took too long")), 15_000);
    this.signal = this.#deadline.signal;
  }

  async close(): Promise<void> {
    clearTimeout(this.#timer);
    for (const member of this.#members) await member.leave();
    for (const store of this.#opened) await store[Symbol.asyncDispose]();
    await this.#under[Symbol.asyncDispose]();
  }

  /** A lease, or a delay, that a test waits for, in milliseconds. */
  get short(): number {
    return SHORT;
  }

  get #moment(): number {
    return this.#under.moment ?? 15;
  }

  get clock(): NonNullable<StoreUnderTest["clock"]> {
    assert(this.#under.clock, "The store under test has no clock: give it one, or skip the feature with a reason");
    return this.#under.clock;
  }

  /** The time in milliseconds: the store's, if the test can move its clock. */
  now(): number {
    return this.#under.clock?.now() ?? performance.now();
  }

  /** Another store over the same data. */
  async reopen(): Promise<EventStore> {
    assert(this.#under.reopen, "The store under test cannot be reopened: skip the feature with a reason");
    const store = await this.#under.reopen();
    this.#opened.push(store);
    return store;
  }

  /** Lets time pass for the store. */
  async pass(ms: number): Promise<void> {
    if (this.#under.clock) this.#under.clock.advance(ms);
    else await sleep(ms);
  }

  /** Appends `count` different entries in one batch. */
  append(count: number, options?: AppendOptions): Promise<readonly Position[]> {
    return this.store.append(this.stream, this.entries(count), options);
  }

  entries(count: number): Fields[] {
    return Array.from({ length: count }, () => ["id", `${++this.#appended}`, "payload", "{}"]);
  }

  /** All records of a read, its pages joined. */
  async read(range: ReadRange = {}, store: EventStore = this.store): Promise<StoredRecord[]> {
    const records: StoredRecord[] = [];
    for await (const page of store.read(this.stream, { signal: this.signal, ...range })) {
      assert(page.length > 0, "A page is never empty");
      records.push(...page);
    }
    return records;
  }

  /** Joins the group; it leaves after the test, unless the test abandons it. */
  async join(
    consumer = "a",
    { group = "group", lease = LONG, startFrom = "beginning", store = this.store, stream = this.stream, ...reach }:
      & { readonly group?: string; readonly store?: EventStore; readonly stream?: string }
      & Partial<MemberOptions> = {},
  ): Promise<GroupMember> {
    const member = await store.member(stream, group, { consumer, lease, startFrom, ...reach });
    this.#members.add(member);
    return member;
  }

  /** Marks the consumer's process as dead: it neither renews nor leaves. */
  abandon(member: GroupMember): void {
    this.#members.delete(member);
  }

  /** Joins, claims up to `limit` and dies; resolves when the lease has expired. */
  async die(limit: number, consumer = "dead", outcomes: (taken: ClaimedRecord[]) => Outcome[] = () => []): Promise<
    { member: GroupMember; records: ClaimedRecord[] }
  > {
    const member = await this.join(consumer, { lease: this.short });
    const records = await this.take(member, limit);
    const settling = outcomes(records);
    if (settling.length > 0) assertEquals(await member.settle(settling), []);
    this.abandon(member);
    await this.pass(this.short);
    return { member, records };
  }

  claim(member: GroupMember, limit = 100, newFirst = false): Promise<Claim> {
    return member.claim({ limit, signal: this.signal, newFirst });
  }

  /** Records of the next claim, at least one. */
  async take(member: GroupMember, limit = 100): Promise<ClaimedRecord[]> {
    const { records } = await this.claim(member, limit);
    if (records.length === 0) this.signal.throwIfAborted();
    assert(records.length > 0, "A claim that was not aborted brought nothing");
    assert(records.length <= limit, `A claim brought more than ${limit}`);
    return [...records];
  }

  /** Claims and acknowledges until there is nothing left; resolves with the positions. */
  async drain(member: GroupMember): Promise<Position[]> {
    const positions: Position[] = [];
    for (;;) {
      const { records } = await this.glance(member);
      if (records.length === 0) return positions;
      positions.push(...positionsOf(records));
      assertEquals(await member.settle(ack(records)), []);
    }
  }

  /** Records of a claim that is given a short time, and at least the time of its round trips. */
  async glance(member: GroupMember, limit = 100): Promise<Claim> {
    const enough = new AbortController();
    const claim = member.claim({ limit, signal: enough.signal });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const moment = new Promise<void>((resolve) => timer = setTimeout(resolve, this.#moment));
    // On a busy machine, answers may take longer: as many answers to later calls show that they have come.
    const silence = moment.then(async () => {
      for (let nth = 0; nth < MOST_ROUND_TRIPS && !enough.signal.aborted; nth++) await this.admin.info();
    });
    await Promise.race([claim, silence]);
    clearTimeout(timer);
    enough.abort();
    return await claim;
  }

  /** Asserts that there is nothing to claim for this member. */
  async nothing(member: GroupMember): Promise<void> {
    const { records, missing } = await this.glance(member);
    assertEquals({ records, missing }, { records: [], missing: [] });
  }

  /** Starts a claim, runs `act` while it waits, and resolves with its records. */
  async wake(member: GroupMember, act: () => Promise<unknown>, newFirst = false): Promise<Claim> {
    let done = false;
    const claim = this.claim(member, 100, newFirst).finally(() => done = true);
    await sleep(10);
    assert(!done, "A claim with nothing to take did not wait");
    await act();
    return await claim;
  }

  /** The next claim, with nothing to take before `ms` milliseconds have passed since the time `since`. */
  async due(member: GroupMember, since: number, ms: number): Promise<Claim> {
    // Without a clock that stands still, the time may have come already on a busy machine.
    const claim = this.#under.clock
      ? await this.wake(member, () => this.pass(since + ms - this.now()))
      : await this.claim(member);
    this.assertAfter(ms, this.now() - since);
    return claim;
  }

  /** Whether, for certain, fewer than `ms` milliseconds have passed since the time `since`. */
  isSooner(since: number, ms: number): boolean {
    return this.now() - since < ms - TOLERANCE;
  }

  /** Asserts that so much time has passed: exactly that, if only the test moves the clock; otherwise at least that. */
  assertAfter(ms: number, passed: number): void {
    if (this.#under.clock) assertEquals(passed, ms);
    else assert(passed > ms - TOLERANCE, `${passed} ms have passed, and not ${ms}`);
  }

  /**
   * Claims `count` records while time passes. Returns each with the milliseconds after which it was claimed, in the
   * order of the claims.
   */
  async collect(member: GroupMember, count: number, since: number): Promise<[record: ClaimedRecord, after: number][]> {
    const collected: [ClaimedRecord, number][] = [];
    for (;;) {
      for (const record of await this.take(member)) collected.push([record, this.now() - since]);
      if (collected.length >= count) return collected;
      await this.pass(this.short);
    }
  }

  /** The group as `info` shows it. */
  async group(name = "group"): Promise<GroupState> {
    const group = (await this.admin.info()).groups.find((group) => group.name === name);
    assert(group, `There is no group ${name}`);
    return group;
  }

  async letters(group = "group"): Promise<LetterRecord[]> {
    const letters: LetterRecord[] = [];
    for await (const page of this.admin.deadLetters(group).list()) {
      assert(page.length > 0, "A page is never empty");
      letters.push(...page);
    }
    return letters;
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

export function positionsOf(records: readonly { readonly position: Position }[]): Position[] {
  return records.map(({ position }) => position);
}

export function ack(records: readonly ClaimedRecord[]): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "ack", position, fence }));
}

export function retry(records: readonly ClaimedRecord[], delay: number, hold = false): Outcome[] {
  return records.map(({ position, fence, attempt }) => ({ kind: "retry", position, fence, attempt, delay, hold }));
}

export function release(records: readonly ClaimedRecord[], delay?: number): Outcome[] {
  return records.map(({ position, fence }) => ({
    kind: "release",
    position,
    fence,
    ...(delay === undefined ? {} : { delay }),
  }));
}

export function defer(records: readonly ClaimedRecord[], version: number): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "defer", position, fence, version }));
}

export function wait(records: readonly ClaimedRecord[], key: string): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "wait", position, fence, key }));
}

export function isolate(records: readonly ClaimedRecord[]): Outcome[] {
  return records.map(({ position, fence }) => ({ kind: "isolate", position, fence }));
}

export function dead(records: readonly ClaimedRecord[], extra: Partial<Outcome & { kind: "dead" }> = {}): Outcome[] {
  return records.map(({ position, fence, attempt }) => ({
    kind: "dead",
    position,
    fence,
    reason: "permanent",
    attempts: attempt,
    error: { name: "Error", message: `no good: ${position}` },
    ...extra,
  }));
}
