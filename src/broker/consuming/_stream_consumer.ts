import type { DomainEvent } from "../../events/mod.ts";
import type { Claim, ClaimedRecord, GroupMember, Healed, Outcome, Position, RemovedRange } from "../../store/mod.ts";
import { comparePositions } from "../../store/mod.ts";
import { Bell } from "../../store/_bell.ts";
import { backoff, RECONNECT } from "../_backoff.ts";
import { afterWrites } from "./_after_writes.ts";
import type { Decoded } from "../codec/_event_codec.ts";
import { DecodingLine } from "./_decoding_queue.ts";
import { LeaseLostError } from "../errors.ts";
import { Holdings } from "./_held_jobs.ts";
import { Job } from "./_job.ts";
import { mayPass } from "../_passing.ts";
import { Settler } from "./_settler.ts";
import { MAX_CLAIM, type Settings } from "./_consumer_settings.ts";
import { sleep } from "../_sleep.ts";
import { Window } from "./_prefetch_window.ts";

// After so many deliveries, what is new has its turn before what came back: a large backlog keeps it waiting no longer,
// and what one consumer left behind comes in one piece all the same.
const TURN = 1_000;
// From so many deliveries on, their handlers start only when the next claim has gone out: the store works meanwhile.
const LARGE_BATCH = 64;

/** What makes an event of an entry. */
export type Decode = (record: ClaimedRecord) => Decoded<DomainEvent> | Promise<Decoded<DomainEvent>>;

/** What a stream consumer needs of its subscription. */
export interface StreamConsumerOwner {
  readonly settings: Settings;
  /** Takes new work, in order. */
  admit(jobs: readonly Job[]): void;
  /** The jobs were lost, all at once, or their outcome was refused. */
  lost(jobs: readonly Job[]): void;
  /** The job's delivery is over, as the store knows, or will never be told. */
  concluded(job: Job, outcome: Outcome, refused: boolean): void;
  /** The store has answered to so many outcomes of this type. */
  wrote(eventType: string, count: number): void;
  recovered(job: Job): void;
  missing(source: StreamConsumer, removed: RemovedRange, positions?: readonly Position[]): void;
  healed(source: StreamConsumer, healed: Healed): void;
  /** The store could not be reached; trying again after `delay`. */
  retrying(error: unknown, delay: number): void;
  /** Ends the subscription. */
  failed(error: unknown): void;
}

/** One subscription's consumer of one stream: claims, keeps its lease, and settles. */
export class StreamConsumer {
  readonly eventType: string;
  readonly group: string;
  /** How many of its handlers run now. */
  running = 0;
  #member: GroupMember;
  #owner: StreamConsumerOwner;
  #decode: Decode;
  #decoding: DecodingLine;
  #settler: Settler;
  #window: Window;
  /** What the store says this consumer has. */
  #held = new Holdings();
  /** What is claimed and whose handler has not ended. */
  #open = 0;
  #room = new Bell();
  #stopReading = new AbortController();
  #stopRenewing = new AbortController();
  #renewedAt: number;
  #stalled = false;
  #streak = 0;
  #reading: Promise<void> | undefined;
  /** What was claimed last and starts in the next turn of the event loop. */
  #handed: Promise<void> | undefined;
  #handing = 0;
  #renewing: Promise<void> | undefined;

  constructor(
    owner: StreamConsumerOwner,
    eventType: string,
    member: GroupMember,
    joinedAt: number,
    decode: Decode,
  ) {
    this.#owner = owner;
    this.eventType = eventType;
    this.group = owner.settings.group;
    this.#member = member;
    this.#decode = decode;
    this.#decoding = new DecodingLine(owner.settings.handlerTimeout, (jobs) => owner.admit(jobs));
    this.#renewedAt = joinedAt;
    this.#window = new Window(owner.settings);
    this.#settler = new Settler(member, {
      settled: (job, outcome, refused) => this.#settled(job, outcome, refused),
      concluded: (job, outcome, refused) => owner.concluded(job, outcome, refused),
      wrote: (count) => {
        owner.wrote(eventType, count);
        this.#room.ring();
      },
      retrying: (error, delay) => owner.retrying(error, delay),
      failed: (error) => owner.failed(error),
    });
  }

  get consumer(): string {
    return this.#member.consumer;
  }

  /** False when the lease may have run out since it was last renewed: nothing may start before it is renewed. */
  get fresh(): boolean {
    return Date.now() - this.#renewedAt < this.#owner.settings.lease;
  }

  start(): void {
    this.#reading = this.#read().catch((error) => this.#owner.failed(error));
    this.#renewing = this.#keepLease().catch((error) => this.#owner.failed(error));
  }

  async #read(): Promise<void> {
    const { signal } = this.#stopReading;
    // With keys what came back always goes first: it stands before what is new, and may be of the same key.
    const takesTurns = this.#owner.settings.key === undefined;
    let [failures, sinceNew] = [0, 0];
    while (!signal.aborted) {
      const limit = Math.min(MAX_CLAIM, this.#window.room(this.#open, this.running));
      this.#checkStalled(limit === 0);
      if (limit === 0 || this.#settler.backlog > 4 * MAX_CLAIM) {
        await this.#room.wait(signal);
        continue;
      }
      try {
        const newFirst = takesTurns && sinceNew >= TURN;
        const claim = await this.#member.claim({ limit, signal, newFirst });
        failures = 0;
        sinceNew = newFirst ? 0 : sinceNew + claim.records.length;
        await this.#receive(claim);
      } catch (error) {
        if (!mayPass(error)) throw error;
        const delay = backoff(RECONNECT, ++failures);
        this.#owner.retrying(error, delay);
        await sleep(delay, signal);
      }
    }
  }

  async #receive({ records, missing, removed, disturbed, healed }: Claim): Promise<void> {
    if (missing.length > 0) this.#owner.missing(this, rangeOf(missing), missing);
    if (removed !== undefined) this.#owner.missing(this, removed);
    if (healed !== undefined) this.#owner.healed(this, healed);
    // Not awaited: should it fail, the next renewal tells the same, and the records are ours all the same.
    if (disturbed) this.renew().catch((error) => this.#owner.retrying(error, 0));
    if (records.length === 0) return;
    this.#open += records.length;
    this.#window.claimed();
    this.#streak += records.length;
    // What came first starts first: nothing overtakes what waits for the next turn.
    if (this.#streak < LARGE_BATCH && this.#handing === 0) return this.#hand(records);
    this.#streak = 0;
    this.#handing++;
    this.#handed = new Promise<void>((resolve) =>
      afterWrites(() => {
        this.#handing--;
        resolve(this.#hand(records));
      })
    );
    // With room for more the next claim is sent meanwhile; without, the event loop has had its turn all the same.
    if (this.#window.room(this.#open, this.running) === 0) await this.#handed;
  }

  #hand(records: readonly ClaimedRecord[]): void {
    const jobs: Job[] = [];
    let later = this.#decoding.busy;
    for (const record of records) {
      const decoded = this.#decode(record);
      const job = new Job(this, record, decoded instanceof Promise ? undefined : decoded);
      if (decoded instanceof Promise) {
        later = true;
        this.#decoding.follow(job, decoded);
      }
      this.#held.add(job);
      jobs.push(job);
      if (job.recovered > 0) this.#owner.recovered(job);
    }
    if (later) this.#decoding.push(jobs);
    else this.#owner.admit(jobs);
  }

  /** One of what was claimed is done with: its handler has ended, or will never start. */
  closed(): void {
    this.#open--;
    this.#decoding.look();
    this.#window.done(this.#open);
    this.lookForRoom();
  }

  /** Has it read on if there is room now, and not before: waking it for each handler would cost more than handling. */
  lookForRoom(): void {
    if (this.#window.room(this.#open, this.running) > 0 || this.#isStalled(true) !== this.#stalled) this.#room.ring();
  }

  /** What is held now, in any state. */
  jobs(): Job[] {
    return this.#held.all();
  }

  /** Has the store know the outcome. With `told`, that is told what became of it, and the delivery goes on. */
  settle(job: Job, outcome: Outcome, told?: (refused: boolean) => void): void {
    this.#settler.push(job, outcome, told);
  }

  #settled(job: Job, outcome: Outcome, refused: boolean): void {
    const goesOn = !refused && (outcome.kind === "isolate" || outcome.kind === "retry" && outcome.hold === true);
    if (!goesOn) this.#held.remove(job);
    if (refused) this.#owner.lost([job]);
  }

  async #keepLease(): Promise<void> {
    const { signal } = this.#stopRenewing;
    const { lease } = this.#owner.settings;
    let failures = 0;
    while (true) {
      await sleep(failures === 0 ? lease / 3 : Math.min(lease / 10, backoff(RECONNECT, failures)), signal);
      if (signal.aborted) return;
      try {
        await this.renew();
        failures = 0;
      } catch (error) {
        if (!mayPass(error)) throw error;
        failures++;
      }
    }
  }

  /** Renews the lease, and learns what was lost. */
  async renew(): Promise<void> {
    const asked = Date.now();
    this.#lose(this.#held.outdated());
    const jobs = this.#held.all().filter(({ state }) => state !== "settling" && state !== "gone");
    const lost = await this.#member.renew(jobs, { stalled: this.#stalled });
    this.#renewedAt = asked;
    if (lost.length === 0) return;
    const positions = new Set(lost);
    this.#lose(
      jobs.filter(({ position, state }) => positions.has(position) && state !== "settling" && state !== "gone"),
    );
  }

  #lose(jobs: readonly Job[]): void {
    for (const job of jobs) this.#held.remove(job);
    this.#owner.lost(jobs.filter(({ state }) => state !== "settling"));
  }

  /** Renews the lease as often as it takes while this consumer is there. */
  async renewAtLast(): Promise<void> {
    const { signal } = this.#stopRenewing;
    for (let attempt = 1; !signal.aborted; attempt++) {
      try {
        return await this.renew();
      } catch (error) {
        if (!mayPass(error)) throw error;
        const delay = backoff(RECONNECT, attempt);
        this.#owner.retrying(error, delay);
        await sleep(delay, signal);
      }
    }
  }

  // Handlers that stand idle while the window is full: what fills it waits in lines behind busy keys.
  #checkStalled(full: boolean): void {
    const stalled = this.#isStalled(full);
    if (stalled === this.#stalled) return;
    this.#stalled = stalled;
    this.renew().catch((error) => this.#owner.retrying(error, 0));
  }

  #isStalled(full: boolean): boolean {
    const { key, concurrency } = this.#owner.settings;
    return full && key !== undefined && this.running < concurrency;
  }

  /** Ends the reading: what a claim still brings is handed back. */
  async stopReading(): Promise<void> {
    this.#stopReading.abort();
    await this.#reading;
    await this.#handed;
  }

  /** Waits until the store has all outcomes, hands back the rest, and leaves the group. */
  async leave(deadline: AbortSignal): Promise<void> {
    this.#decoding.close();
    try {
      await this.#settler.drain(deadline);
    } finally {
      // Also when the store does not answer: a lease that went on would keep from others what is held here.
      this.#stopRenewing.abort();
      await this.#renewing;
    }
    await this.#member.leave();
    for (const job of this.#held.all()) job.abort(new LeaseLostError("The subscription is closed"));
    this.#held.clear();
  }
}

function rangeOf(positions: readonly Position[]): RemovedRange {
  const sorted = positions.toSorted(comparePositions);
  return { from: sorted[0]!, to: sorted.at(-1)!, count: sorted.length };
}
