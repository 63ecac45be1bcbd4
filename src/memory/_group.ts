import { keptWith } from "../store/_kept.ts";
import type {
  Claim,
  ClaimedRecord,
  DeliveryRef,
  GroupChange,
  GroupState,
  HeldDeliveries,
  KeyedDelivery,
  LetterRecord,
  MemberOptions,
  Outcome,
  Position,
  StoredRecord,
} from "../store/mod.ts";
import { comparePositions, StoreError } from "../store/mod.ts";
import { assertTerms, type GroupTerms } from "../store/_groups.ts";
import type { Reach } from "../store/_reach.ts";
import { type Consumer, Consumers } from "./_consumers.ts";
import { Cursor } from "./_cursor.ts";
import { Deliveries } from "./_deliveries.ts";
import { Holds } from "./_holds.ts";
import { letterOf } from "./_letters.ts";
import type { Pending } from "./_pending.ts";
import type { MemoryStream } from "./_stream.ts";

// Redriven deliveries of a group that holds keys, and those that waited for their key, come first, by position.
const BEFORE_ALL = 0;

/** How a member claims. */
interface Claiming {
  readonly limit: number;
  readonly newFirst: boolean;
  readonly exclusive: boolean;
}

/** One group of one stream: its cursor, its unsettled deliveries, and its dead letters. */
export class MemoryGroup {
  readonly name: string;
  readonly letters: Map<string, LetterRecord> = new Map();
  /** Raised by each rewind. Members compare it to notice the rewind. */
  epoch = 0;
  deleted = false;
  /** The text by which operators control its consumers, with its version; version 0 before the first write. */
  control: { readonly text: string | undefined; readonly version: number } = { text: undefined, version: 0 };
  #terms: GroupTerms;
  #skipped = 0;
  #expired = 0;
  #stream: MemoryStream;
  #cursor: Cursor;
  #deliveries = new Deliveries();
  #holds = new Holds();
  #consumers: Consumers;
  #lettersEver = 0;

  constructor(
    stream: MemoryStream,
    name: string,
    { startFrom, types, whenDead }: Pick<MemberOptions, "startFrom" | "types" | "whenDead">,
  ) {
    this.#stream = stream;
    this.#terms = { ...(types && { types }), ...(whenDead && { whenDead }) };
    this.name = name;
    this.#consumers = new Consumers(`group "${name}" of ${stream.name}`, stream.now);
    this.#cursor = new Cursor(stream, startFrom);
  }

  /** To be called before entries are removed from the stream, up to the index `end`, exclusive: notes the unread ones. */
  noteRemoved(end: number): void {
    this.#cursor.noteRemoved(end);
  }

  /** Returns the index of the first entry that this group has not read or not settled: trimming must keep it. */
  floor(): number {
    let floor = this.#cursor.next();
    for (const pending of this.#deliveries.values()) {
      if (pending.index < floor && this.#isThere(pending)) floor = pending.index;
    }
    return floor;
  }

  #isThere({ copy, index }: Pending): boolean {
    return copy === undefined && this.#stream.at(index) !== undefined;
  }

  /** What its consumers agree on. */
  get terms(): GroupTerms {
    return this.#terms;
  }

  get #holdsKeys(): boolean {
    return this.#terms.whenDead === "hold-key";
  }

  join(options: MemberOptions): string {
    assertTerms(this.name, this.#stream.name, this.#terms, options);
    const { consumer, lease, exclusive = false } = options;
    const { storeName } = this.#consumers.join(consumer, lease, exclusive);
    // All others are dead. They lose their deliveries at once, so that none of them settles beside this consumer.
    if (exclusive) this.#recoverDead(this.#stream.now());
    return storeName;
  }

  /**
   * Renews the lease of a consumer. Throws `"group-deleted"`, `"types-differ"`, `"policy-differs"`, `"name-taken"` or
   * `"occupied"`.
   */
  touch(storeName: string, options: Pick<MemberOptions, "lease" | "types" | "whenDead" | "exclusive">): Consumer {
    this.#assertThere();
    assertTerms(this.name, this.#stream.name, this.#terms, options);
    return this.#consumers.touch(storeName, options.lease, options.exclusive === true);
  }

  #assertThere(): void {
    if (!this.deleted) return;
    const why = "it was deleted; subscribe again to make it anew";
    throw new StoreError("group-deleted", `Cannot use group "${this.name}" of ${this.#stream.name}: ${why}`);
  }

  lost(storeName: string, held: readonly DeliveryRef[]): Position[] {
    return held.filter((delivery) => this.#deliveries.find(storeName, delivery) === undefined).map(({ position }) =>
      position
    );
  }

  /** Claims the entries that are there now, without waiting. */
  claim(
    consumer: Consumer,
    reach: Reach,
    claiming: Claiming,
  ): Omit<Claim, "disturbed"> {
    const found = this.#take(consumer, reach, claiming);
    const removed = this.#cursor.takeRemoved();
    const holding = this.#holdsKeys ? this.#holds.holding : undefined;
    return { ...found, ...(removed && { removed }), ...(holding !== undefined && { holding }) };
  }

  #take(consumer: Consumer, reach: Reach, { limit, newFirst, exclusive }: Claiming): Omit<Claim, "disturbed"> {
    const missing: Position[] = [];
    const early = newFirst && !exclusive ? this.#claimNew(consumer, limit) : [];
    if (early.length > 0) return { records: early, missing };
    const returned = this.#claimReturned(consumer, reach, { limit, exclusive }, missing);
    const records = returned.length > 0 ? returned : this.#claimNew(consumer, limit);
    return { records, missing };
  }

  #claimReturned(
    consumer: Consumer,
    reach: Reach,
    { limit, exclusive }: Pick<Claiming, "limit" | "exclusive">,
    missing: Position[],
  ): ClaimedRecord[] {
    const now = this.#stream.now();
    this.#recoverDead(now);
    const returned = exclusive ? this.#deliveries.takeInOrder(reach, now) : this.#deliveries.takeDue(reach, now);
    const taken: Pending[] = [];
    while (taken.length < limit) {
      const pending = returned.next().value;
      if (pending === undefined) break;
      if (this.#recordOf(pending) !== undefined) taken.push(pending);
      else {
        this.#deliveries.delete(pending);
        missing.push(pending.position);
      }
    }
    return taken.sort((a, b) => comparePositions(a.position, b.position)).map((pending) => {
      this.#deliveries.renumber(pending);
      const { deferred } = pending;
      pending.deferred = undefined;
      const record = this.#deliver(pending, consumer);
      return deferred !== undefined && deferred.version > reach.version ? { ...record, expired: true } : record;
    });
  }

  // Parks the deliveries of dead consumers, to be claimed at once or when their retry is due. The consumer that claims
  // has just renewed its lease, so it is never among them.
  #recoverDead(now: number): void {
    for (const dead of this.#consumers.values()) {
      if (dead.expires > now) continue;
      for (const pending of this.#deliveries.heldBy(dead)) {
        pending.recovered++;
        if (pending.isolated) this.#countFailure(pending, now, pending.failures + 1);
        this.#deliveries.park(pending, Math.max(now, pending.retryAt ?? now));
      }
      this.#consumers.remove(dead.storeName);
    }
  }

  #countFailure(pending: Pending, now: number, failures: number): void {
    pending.failures = failures;
    pending.isolated = false;
    pending.firstFailedAt ??= now;
    pending.lastFailedAt = now;
  }

  #claimNew(consumer: Consumer, limit: number): ClaimedRecord[] {
    const records: ClaimedRecord[] = [];
    for (let index = this.#cursor.next(); index < this.#stream.end && records.length < limit; index++) {
      this.#cursor.advance(index + 1);
      const { position } = this.#stream.at(index)!;
      records.push(this.#deliver(this.#deliveries.add(position, index), consumer));
    }
    return records;
  }

  #recordOf({ copy, index }: Pending): StoredRecord | undefined {
    return copy ?? this.#stream.at(index);
  }

  #deliver(pending: Pending, consumer: Consumer): ClaimedRecord {
    const dueIn = pending.retryAt === undefined ? 0 : pending.retryAt - this.#stream.now();
    pending.owner = consumer;
    // An exclusive member waits for the due time itself; it stays noted here in case that this member dies.
    if (dueIn <= 0) pending.retryAt = undefined;
    return {
      position: pending.position,
      fields: this.#recordOf(pending)!.fields,
      attempt: pending.failures + 1,
      recovered: pending.recovered,
      ...(dueIn > 0 ? { dueIn } : {}),
      fence: `${pending.delivery}`,
    };
  }

  settle(storeName: string, outcomes: readonly Outcome[]): Position[] {
    const refused: Position[] = [];
    const now = this.#stream.now();
    let parked = false;
    for (const outcome of outcomes) {
      const pending = this.#deliveries.find(storeName, outcome);
      if (pending === undefined) refused.push(outcome.position);
      else parked = this.#apply(outcome, pending, now) || parked;
    }
    if (parked) this.#stream.wakeUp.wake();
    return refused;
  }

  /** Applies an outcome; returns whether waiting members may claim the delivery now. */
  #apply(outcome: Outcome, pending: Pending, now: number): boolean {
    if (outcome.kind === "isolate") {
      pending.isolated = true;
      return false;
    }
    if (outcome.kind === "retry") {
      this.#countFailure(pending, now, Math.max(pending.failures, outcome.attempt));
      pending.recovered = 0;
      pending.retryAt = now + outcome.delay;
      if (outcome.hold) return false;
    }
    // A removed entry waits for no version: the next claim reports it.
    const released = outcome.kind === "defer" && this.#recordOf(pending) === undefined;
    if (outcome.kind === "retry" || outcome.kind === "release" || released) {
      if (outcome.kind === "release") pending.retryAt = outcome.delay ? now + outcome.delay : undefined;
      if (released) pending.retryAt = undefined;
      this.#deliveries.park(pending, pending.retryAt ?? now);
      return true;
    }
    if (outcome.kind === "wait") {
      pending.owner = pending.retryAt = undefined;
      pending.isolated = false;
      if (this.#holds.wait(pending, outcome.key)) return false;
      this.#deliveries.park(pending, this.#holdsKeys ? BEFORE_ALL : now);
      return true;
    }
    if (outcome.kind === "defer") {
      pending.owner = pending.retryAt = undefined;
      pending.isolated = false;
      this.#deliveries.deferred.add(pending, outcome.version, now);
      return true;
    }
    if (outcome.kind === "dead") {
      const letter = letterOf(pending, outcome, now, `${++this.#lettersEver}`, this.#recordOf(pending)?.fields ?? []);
      this.letters.set(letter.id, letter);
      if (letter.key !== undefined && this.#holdsKeys) this.#holds.hold(letter.key, letter);
    }
    if (outcome.kind === "skip") this.#skipped++;
    if (outcome.kind === "expire") this.#expired++;
    this.#deliveries.delete(pending);
    return false;
  }

  leave(storeName: string): boolean {
    const consumer = this.#consumers.get(storeName);
    if (consumer === undefined) return true;
    const now = this.#stream.now();
    for (const pending of this.#deliveries.heldBy(consumer)) {
      this.#deliveries.park(pending, Math.max(now, pending.retryAt ?? now));
    }
    this.#consumers.remove(storeName);
    this.#stream.wakeUp.wake();
    return true;
  }

  /** Returns when a waiting claim should look again: a delivery falls due, or a lease may run out. */
  nextChange(waiting: Consumer, reach: Reach): number {
    let next = this.#deliveries.nextDue(reach);
    for (const consumer of this.#consumers.values()) {
      // This holds for consumers without deliveries too: a dead consumer has to be removed.
      if (consumer !== waiting) next = Math.min(next, consumer.expires);
    }
    return next;
  }

  held(deliveries: readonly KeyedDelivery[]): HeldDeliveries {
    this.#assertThere();
    return this.#holds.held(deliveries);
  }

  /** Keeps a text beside a delivery; returns false if this consumer no longer has it. */
  keep(storeName: string, delivery: DeliveryRef, name: string, text: string): boolean {
    const pending = this.#deliveries.find(storeName, delivery);
    if (pending === undefined) return false;
    pending.kept = keptWith(pending.kept, name, text);
    return true;
  }

  kept(storeName: string, delivery: DeliveryRef): Readonly<Record<string, string>> {
    return { ...this.#deliveries.find(storeName, delivery)?.kept };
  }

  setStalled(storeName: string, stalled: boolean): void {
    const consumer = this.#consumers.get(storeName);
    if (consumer !== undefined) consumer.stalled = stalled;
  }

  /** Ends the group: its members lose their deliveries. */
  delete(): void {
    this.deleted = true;
    this.#deliveries.clear();
    this.#consumers.clear();
  }

  rewind(to: MemberOptions["startFrom"]): { dropped: number; first: Position | undefined } {
    this.epoch++;
    this.#cursor.seek(to);
    let dropped = 0;
    for (const pending of this.#deliveries.values()) {
      if (to === "now" || (to !== "beginning" && comparePositions(pending.position, to) < 0)) continue;
      this.#deliveries.drop(pending);
      this.#holds.remove(pending);
      dropped++;
    }
    if (to !== "now") this.#holds.rewind(to === "beginning" ? "0-0" : to);
    this.#stream.wakeUp.wake();
    return { dropped, first: this.#stream.at(this.#cursor.next())?.position };
  }

  redrive(letters: readonly LetterRecord[]): void {
    const due = this.#holdsKeys ? BEFORE_ALL : this.#stream.now();
    const pending = new Set([...this.#deliveries.values()].map(({ position }) => position));
    for (const { id, position, fields } of letters) {
      this.letters.delete(id);
      const index = this.#stream.indexOf(position);
      const stillThere = this.#stream.at(index)?.position === position;
      if (pending.has(position) || (stillThere && index >= this.#cursor.next())) continue;
      pending.add(position);
      const copy = stillThere ? undefined : { position, fields };
      this.#deliveries.park(this.#deliveries.add(position, index, copy), due);
    }
    this.#release(this.#holds.lift(letters));
    if (letters.length > 0) this.#stream.wakeUp.wake();
  }

  discard(letters: readonly LetterRecord[]): void {
    for (const { id } of letters) this.letters.delete(id);
    this.#release(this.#holds.lift(letters));
  }

  /** Returns deliveries that waited for their key. */
  #release(freed: readonly Pending[]): void {
    for (const pending of freed) this.#deliveries.park(pending, BEFORE_ALL);
    if (freed.length > 0) this.#stream.wakeUp.wake();
  }

  alter({ types, whenDead = this.#terms.whenDead }: GroupChange): void {
    this.#terms = { ...(types && { types }), ...(whenDead && { whenDead }) };
    if (!this.#holdsKeys) this.#release(this.#holds.clear());
  }

  state(): GroupState {
    const now = this.#stream.now();
    const next = this.#cursor.next();
    const { floor, held, ...unsettled } = this.#deliveries.state(now, this.#stream.at(next)?.position);
    return {
      name: this.name,
      ...unsettled,
      types: this.#terms.types,
      skipped: this.#skipped,
      expired: this.#expired,
      whenDead: this.#terms.whenDead ?? "continue",
      held: this.#holds.state,
      deadLetters: this.letters.size,
      oldestDeadLetter: this.letters.values().next().value?.lastFailedAt,
      lag: this.#stream.end - next,
      lagIsExact: true,
      floor,
      consumers: this.#consumers.state(now, held),
      control: this.control.text,
    };
  }
}
