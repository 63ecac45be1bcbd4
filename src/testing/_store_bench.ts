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

/** Features that a store may lack. */
export type StoreFeature = "second-store" | "clock";

/** A store opened for one test, and the test's control over it. */
export interface StoreUnderTest extends AsyncDisposable {
  /** The store, empty. */
  readonly store: EventStore;
  /** Opens another store over the same data, as another process or a restart would. */
  reopen?(): Promise<EventStore>;
  /**
   * How long a claim is given, in milliseconds, before its silence means that there is no entry.
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

// Long enough for the steps of a test, if opening a connection is fast.
const SHORT = 60;
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
    // On a slow store, all steps of a test take several times as long.
    return SHORT + 6 * Math.max(0, this.#moment - 20);
  }

  get #moment(): number {
    return this.#under.moment ?? 15;
  }

  get clock(): NonNullable<StoreUnderTest["clock"]> {
    assert(this.#under.clock, "The store under test has no clock: give it one, or skip the feature with a reason");
    return this.#under.clock;
  }

  /** Whether the store's time passes only when the test moves its clock. */
  get hasClock(): boolean {
    return this.#under.clock !== undefined;
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

  /** Records of a claim that is given a short time. */
  async glance(member: GroupMember, limit = 100): Promise<Claim> {
    const moment = new AbortController();
    const timer = setTimeout(() => moment.abort(), this.#moment);
    const claim = await member.claim({ limit, signal: moment.signal });
    clearTimeout(timer);
    return claim;
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
