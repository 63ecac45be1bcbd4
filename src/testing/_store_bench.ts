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

/** What a store may be unable to show. */
export type StoreFeature = "second-store" | "clock";

/** A store that was opened for one test, and what the test may do to it. */
export interface StoreUnderTest extends AsyncDisposable {
  /** The store, empty. */
  readonly store: EventStore;
  /** Opens another store over the same data, as another process or a restart would. */
  reopen?(): Promise<EventStore>;
  /**
   * How long to wait, in milliseconds, until what a claim does not bring is not there.
   *
   * @default {15}
   */
  readonly moment?: number;
  /** The store's clock, which stands still until it is moved; without it the suite waits. */
  readonly clock?: {
    now(): number;
    /** Moves the clock by so many milliseconds, back if they are negative. */
    advance(ms: number): void;
  };
}

// Long enough for what is to be done meanwhile, where opening a connection does not take longer.
const SHORT = 60;
/** One that never passes during a test. */
export const LONG = 120_000;

export type StoreContract = Contract<Bench, StoreFeature>;

/** A promise of the port: the numbers of the guarantees that it serves, what it says, and how it is checked. */
export function contract(
  numbers: string,
  title: string,
  body: (bench: Bench) => Promise<void>,
  ...needs: StoreFeature[]
): StoreContract {
  return { numbers: numbers.split(", ").map(Number), title, body, needs };
}

/** The workbench of one test: a store with one stream in it, and shorthands for what all tests do. */
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
    // A promise that is broken by waiting for ever shall fail its own test, and no other.
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
    // Where little takes long, all that a test does meanwhile takes several times as long.
    return SHORT + 6 * Math.max(0, this.#moment - 20);
  }

  get #moment(): number {
    return this.#under.moment ?? 15;
  }

  get clock(): NonNullable<StoreUnderTest["clock"]> {
    assert(this.#under.clock, "The store under test has no clock: give it one, or skip the feature with a reason");
    return this.#under.clock;
  }

  /** Whether time passes for the store only where the test moves its clock. */
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

  /** Appends that many entries, one batch, each unlike all others. */
  append(count: number, options?: AppendOptions): Promise<readonly Position[]> {
    return this.store.append(this.stream, this.entries(count), options);
  }

  entries(count: number): Fields[] {
    return Array.from({ length: count }, () => ["id", `${++this.#appended}`, "payload", "{}"]);
  }

  /** All that a read gives, its pages joined. */
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
    { group = "group", lease = LONG, startFrom = "beginning", store = this.store, stream = this.stream }:
      & { readonly group?: string; readonly store?: EventStore; readonly stream?: string }
      & Partial<MemberOptions> = {},
  ): Promise<GroupMember> {
    const member = await store.member(stream, group, { consumer, lease, startFrom });
    this.#members.add(member);
    return member;
  }

  /** The process of this consumer is dead: nobody renews or leaves. */
  abandon(member: GroupMember): void {
    this.#members.delete(member);
  }

  /** Joins, takes up to `limit` and dies: when it resolves, the lease has run out. */
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

  /** What the next claim brings, which must be something. */
  async take(member: GroupMember, limit = 100): Promise<ClaimedRecord[]> {
    const { records } = await this.claim(member, limit);
    if (records.length === 0) this.signal.throwIfAborted();
    assert(records.length > 0, "A claim that was not aborted brought nothing");
    assert(records.length <= limit, `A claim brought more than ${limit}`);
    return [...records];
  }

  /** Takes and acknowledges until nothing comes any more; gives the positions. */
  async drain(member: GroupMember): Promise<Position[]> {
    const positions: Position[] = [];
    for (;;) {
      const { records } = await this.glance(member);
      if (records.length === 0) return positions;
      positions.push(...positionsOf(records));
      assertEquals(await member.settle(ack(records)), []);
    }
  }

  /** What a claim brings within a moment. */
  async glance(member: GroupMember, limit = 100): Promise<Claim> {
    const moment = new AbortController();
    const timer = setTimeout(() => moment.abort(), this.#moment);
    const claim = await member.claim({ limit, signal: moment.signal });
    clearTimeout(timer);
    return claim;
  }

  /** There is nothing to take for this member. */
  async nothing(member: GroupMember): Promise<void> {
    const { records, missing } = await this.glance(member);
    assertEquals({ records, missing }, { records: [], missing: [] });
  }

  /** A claim that waits while `act` is done, and what it brought then. */
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
