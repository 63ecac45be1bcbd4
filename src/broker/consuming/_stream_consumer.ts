import { WakeUp } from "../../store/_wake_up.ts";
import {
  type Claim,
  comparePositions,
  type GroupMember,
  type Healed,
  type Outcome,
  type Position,
  type RateLimit,
  type RemovedRange,
} from "../../store/mod.ts";
import { backoff, isTransient, nextTurn, RECONNECT, sleep, unlessAborted, untilReached } from "../_store_retry.ts";
import type { StreamCodec } from "../codec/_stream_codec.ts";
import type { SubscriptionTypeInfo } from "../subscription.ts";
import { LeaseLostError } from "../errors.ts";
import { MAX_CLAIM, type Settings } from "./jobs/_consumer_settings.ts";
import { controlPoll } from "./flow/_control_poll.ts";
import { type Pause, Pausing } from "./flow/_pausing.ts";
import type { Breaker } from "./flow/_breaker.ts";
import type { RateGate } from "./flow/_rate_gate.ts";
import { DecodingQueue } from "./jobs/_decoding_queue.ts";
import type { HeldBack, HoldBack } from "./order/_held_back.ts";
import type { HeldKeys } from "./order/_held_keys.ts";
import { HeldJobs } from "./jobs/_held_jobs.ts";
import { Job, type JobSource } from "./jobs/_job.ts";
import { Lease } from "./_lease.ts";
import { LostKeys } from "./order/_lost_keys.ts";
import { ByteWindow } from "./windows/_byte_window.ts";
import { PrefetchWindow } from "./windows/_prefetch_window.ts";
import type { SharedWindows } from "./windows/_shared_window.ts";
import { RunningCount } from "./jobs/_running_count.ts";
import { Settler, type SettlingEnd } from "./jobs/_settler.ts";

// After this many redeliveries in a row, new entries are claimed first: they need not wait for a large backlog, and the
// deliveries of one dead consumer still come together.
const REDELIVERIES_IN_A_ROW = 1_000;
// Handlers of this many deliveries or more start after the next claim is sent, so that the store works meanwhile.
const LARGE_BATCH = 64;

/** Takes the jobs of a stream consumer. */
export interface JobSink {
  /** New jobs, in order. */
  admit(jobs: readonly Job[]): void;
  /** These jobs were lost, all at once, or the store refused their outcomes. */
  lost(jobs: readonly Job[]): void;
  /** Has a job wait in the store until the dead letter that holds its key is gone. */
  wait(job: Job): void;
  /** Makes a job a dead letter that would have to wait, because too many wait. */
  refuseToWait(job: Job): void;
  /** Releases those of the jobs whose handler does not run and is not about to start. */
  releaseIdle(jobs: readonly Job[]): void;
  /** Releases jobs that no handler has. None of them starts in the place of another one. */
  releaseWaiting(jobs: readonly Job[]): void;
  /** The store has replied to the outcome that ends a job, or will not be asked any more. */
  concluded(job: Job, outcome: Outcome, refused: boolean): void;
}

/** The subscription of a stream consumer. */
export interface StreamConsumerOwner {
  readonly settings: Settings;
  readonly runner: JobSink;
  /** Outcomes are about to be sent; the result is called with the store's reply or error. */
  settling(source: JobSource, outcomes: readonly Outcome[], jobs: readonly Job[]): SettlingEnd | undefined;
  /** The store has replied to `count` outcomes of this stream, for entries of so many bytes. */
  wrote(stream: string, count: number, bytes: number): void;
  /** A job was taken over from a dead consumer. */
  recovered(job: Job): void;
  /** Entries were removed from the stream before this group had settled them. */
  missing(eventType: string, removed: RemovedRange, positions?: readonly Position[]): void;
  /** The group had been deleted, and was made again. */
  healed(eventType: string, healed: Healed): void;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** Keeps jobs of this stream until they may start; undefined without a limit. */
  gateOf(source: JobSource): RateGate<Job> | undefined;
  /** The group has this limit from now on. */
  limited(source: JobSource, rate: RateLimit | undefined): void;
  /** A handler may do no more for so many milliseconds. */
  throttle(source: JobSource, error: unknown, duration: number): void;
  /** The consumer has paused, or goes on. Deliveries that wait to be pulled can be released. */
  pausing(source: JobSource, pause: Pause | undefined): void;
  /** Ends the subscription, unless only this consumer has to end. */
  failed(error: unknown, source: JobSource): void;
}

/** The consumer of one stream for a subscription: claims entries, keeps the lease, and settles. */
export class StreamConsumer implements JobSource {
  readonly eventType: string;
  readonly stream: string;
  readonly logical: string;
  readonly group: string;
  readonly partition: number | undefined;
  readonly breaker: Breaker | undefined;
  #member: GroupMember;
  #owner: StreamConsumerOwner;
  #settings: Settings;
  #codec: StreamCodec;
  #decoding: DecodingQueue;
  #settler: Settler;
  #window: PrefetchWindow;
  #bytes: ByteWindow;
  #windows: SharedWindows | undefined;
  #held = new HeldJobs();
  /** How many entries were claimed so far. */
  #claimed = 0;
  /** How many handlers run. */
  #running = new RunningCount();
  /** How many jobs take a place in the prefetch window. */
  #open = 0;
  /** Wakes the reader when there may be room for more entries. */
  #room = new WakeUp();
  #stopReading = new AbortController();
  #pausing: Pausing;
  /** Ends the claim that is under way, when the consumer pauses or stops reading. */
  #endClaim = new AbortController();
  /** Whether one delivery has to succeed before more are claimed. */
  #probing = false;
  #started = false;
  #lease: Lease;
  #stalled = false;
  /** When the store last took outcomes, or the window began to fill. */
  #progressAt: number;
  /** How many entries were claimed since handlers last started in a turn of their own. */
  #sinceTurn = 0;
  #reading: Promise<void> | undefined;
  /** Resolves when the last claimed entries have become jobs. */
  #handed: Promise<void> | undefined;
  /** How many claims wait for the next turn of the event loop. */
  #handing = 0;
  #heldBack: HeldBack | undefined;
  #heldKeys: HeldKeys | undefined;
  #lostKeys: LostKeys | undefined;
  #claiming = false;
  #draining = false;

  /**
   * @param options.holdBack Given if the number of partitions may change, which holds entries back.
   * @param options.Holds Given if a dead letter holds its key.
   * @param options.windows Given if it reads one of several partitions.
   * @param options.breaker Given if failures in a row pause the group.
   * @param options.settings Those of the subscription, unless this consumer has a key of its own.
   */
  constructor(
    owner: StreamConsumerOwner,
    codec: StreamCodec,
    member: GroupMember,
    joinedAt: number,
    { holdBack, Holds, windows, breaker, settings = owner.settings }: {
      readonly windows?: SharedWindows | undefined;
      readonly holdBack?: HoldBack | undefined;
      readonly breaker?: Breaker | undefined;
      readonly Holds?: typeof HeldKeys | undefined;
      readonly settings?: Settings;
    } = {},
  ) {
    this.#owner = owner;
    this.#settings = settings;
    this.eventType = codec.name;
    this.stream = codec.stream;
    this.logical = codec.logical;
    this.partition = codec.partition;
    this.group = settings.group;
    this.#member = member;
    this.#codec = codec;
    this.breaker = breaker;
    this.#pausing = new Pausing({
      member,
      changed: (...change) => this.#paused(...change),
      limited: (rate) => owner.limited(this, rate),
    });
    this.#decoding = new DecodingQueue(settings.handlerTimeout, (jobs) => this.#admit(jobs));
    this.#heldBack = holdBack?.({
      stream: codec.stream,
      signal: this.#stopReading.signal,
      pass: (jobs) => owner.runner.admit(jobs),
      release: (jobs) => owner.runner.releaseIdle(jobs),
      isFullOf: (jobs) => !this.#claiming && this.#open === jobs && this.#roomFor() === 0,
    });
    this.#heldKeys = Holds && new Holds({
      member,
      key: settings.key!,
      signal: this.#stopReading.signal,
      oldest: () => this.#held.all().reduce((least, { sequence }) => Math.min(least, sequence), this.#claimed + 1),
      decoding: () => this.#handing > 0 || this.#decoding.busy,
      admit: (jobs) => this.#pass(jobs),
      jobs: () => this.#held.all(),
      wait: (job) => owner.runner.wait(job),
      refuse: (job) => owner.runner.refuseToWait(job),
      retrying: (error, delay) => owner.retrying(error, delay),
      failed: (error) => owner.failed(error, this),
    });
    this.#lostKeys = settings.key && new LostKeys({
      key: settings.key,
      jobs: () => this.#held.all(),
      release: (jobs) => owner.runner.releaseWaiting(jobs),
    });
    this.#progressAt = joinedAt;
    this.#windows = windows;
    const freed = () => this.updateRoom();
    this.#window = new PrefetchWindow(settings, windows?.entries.join(freed));
    this.#bytes = new ByteWindow(settings.prefetchBytes, windows?.bytes.join(freed));
    this.#lease = new Lease({
      member,
      duration: settings.lease,
      joinedAt,
      held: this.#held,
      stalled: () => this.#stalled,
      lost: (jobs) => owner.runner.lost(jobs),
      retrying: (error, delay) => owner.retrying(error, delay),
      failed: (error) => owner.failed(error, this),
    });
    this.#settler = new Settler(member, {
      settled: (job, outcome, refused) => this.#settled(job, outcome, refused),
      concluded: (job, outcome, refused) => owner.runner.concluded(job, outcome, refused),
      sending: (outcomes, jobs) => owner.settling(this, outcomes, jobs),
      wrote: (count, bytes) => {
        this.#progressAt = Date.now();
        owner.wrote(codec.stream, count, bytes);
        this.#room.wake();
      },
      retrying: (error, delay) => owner.retrying(error, delay),
      failed: (error) => owner.failed(error, this),
    });
  }

  get consumer(): string {
    return this.#member.consumer;
  }

  versionFor(eventType: string, version: number): number {
    return this.#codec.versionFor(eventType, version);
  }

  get key(): JobSource["key"] {
    return this.#settings.key;
  }

  get heldKeys(): HeldKeys | undefined {
    return this.#heldKeys;
  }

  get draining(): boolean {
    return this.#draining;
  }

  get stopped(): boolean {
    return this.#draining || this.#pausing.pause !== undefined;
  }

  get fresh(): boolean {
    return this.#lease.fresh;
  }

  start(): void {
    this.#started = true;
    controlPoll.started();
    // In the next turn of the event loop: the caller of `subscribe` can add its listeners before.
    this.#reading = new Promise<void>((resolve) => nextTurn(resolve))
      .then(() => this.#read())
      .catch((error) => this.#owner.failed(error, this));
    this.#lease.start();
  }

  async #read(): Promise<void> {
    const { signal } = this.#stopReading;
    // With keys, redeliveries are always claimed first: they are older than new entries, and may have the same keys.
    const takesTurns = this.#settings.key === undefined;
    let [failures, sinceNew] = [0, 0];
    while (!signal.aborted) {
      if (this.#pausing.update() !== undefined) {
        await this.#whilePaused(signal);
        continue;
      }
      if (this.#heldBack?.released !== undefined) await this.#heldBack.released;
      if (this.#lostKeys?.any) await this.#returned(this.#lostKeys);
      const limit = Math.min(MAX_CLAIM, this.#roomFor());
      this.#checkStalled(limit === 0);
      if (limit === 0 || this.#settler.backlog > 4 * MAX_CLAIM) {
        await controlPoll.during(this, this.#room.wait(signal));
        continue;
      }
      try {
        const newFirst = takesTurns && sinceNew >= REDELIVERIES_IN_A_ROW;
        this.#claiming = true;
        const claim = await this.#claim(limit, newFirst).finally(() => this.#claiming = false);
        failures = 0;
        sinceNew = newFirst ? 0 : sinceNew + claim.records.length;
        await this.#receive(claim);
      } catch (error) {
        if (!isTransient(error)) throw error;
        const delay = backoff(RECONNECT, ++failures);
        this.#owner.retrying(error, delay);
        await sleep(delay, signal);
      }
    }
  }

  /** Waits until the pause is over, and the store has all deliveries that were released. */
  async #whilePaused(signal: AbortSignal): Promise<void> {
    this.#checkStalled(false);
    try {
      // An ended claim may have taken entries that it did not return.
      await this.#receive(await this.#member.claim({ limit: 0, signal }));
    } catch (error) {
      if (!isTransient(error)) throw error;
      this.#owner.retrying(error, backoff(RECONNECT, 1));
      await sleep(backoff(RECONNECT, 1), signal);
      return;
    }
    while (this.#pausing.update() !== undefined && !signal.aborted) {
      await controlPoll.during(this, this.#room.wait(signal, this.#pausing.left));
    }
    // A claim before that would take entries behind them.
    while (this.#settler.backlog > 0 && !signal.aborted) await this.#room.wait(signal);
  }

  /** The consumer has paused, or goes on. */
  #paused(pause: Pause | undefined, byItself: boolean): void {
    this.#owner.pausing(this, pause);
    if (pause === undefined) {
      this.#probing = byItself && this.breaker !== undefined;
      if (this.#probing) this.breaker?.probe();
      if (!this.#stopReading.signal.aborted) this.#endClaim = new AbortController();
    } else {
      this.#endClaim.abort();
      // In their order, so that they come back in it.
      const jobs = this.#held.all().sort((a, b) => a.sequence - b.sequence);
      this.#owner.runner.releaseIdle(jobs);
    }
    this.#room.wake();
  }

  get gate(): RateGate<Job> | undefined {
    return this.#owner.gateOf(this);
  }

  throttle(error: unknown, duration: number): void {
    this.#owner.throttle(this, error, duration);
  }

  /** Pauses or resumes this consumer alone. */
  pauseHere(paused: boolean): void {
    if (paused) this.#pausing.pauseHere();
    else this.#pausing.resumeHere();
  }

  /** Starts no handler until the control of the group is read again, because the group is about to be paused. */
  expectPause(pause: Pause | undefined): void {
    this.#pausing.expect(pause);
  }

  pollControl(): void {
    void this.#pausing.poll();
  }

  checkControl(): Promise<void> {
    return this.#pausing.check();
  }

  /** How many handlers run for all partitions of the stream. */
  get #allRunning(): number {
    return this.#windows?.running ?? this.#running.count;
  }

  /** Waits until the store has later deliveries of lost keys, so that the next claim gets all of them in order. */
  async #returned(lostKeys: LostKeys): Promise<void> {
    await this.#handed;
    await lostKeys.settled();
  }

  /** How many entries may be claimed now. */
  #roomFor(): number {
    if (this.#probing && this.#open > 0) return 0;
    const running = this.#bytes.probed ? 0 : this.#allRunning;
    const entries = this.#probing ? 1 : this.#window.room(this.#open, running);
    return entries === 0 ? 0 : Math.min(entries, this.#bytes.room(running < this.#settings.concurrency));
  }

  async #claim(limit: number, newFirst: boolean): Promise<Claim> {
    const { signal } = this.#endClaim;
    const keys = this.#heldKeys;
    if (keys === undefined) return await this.#member.claim({ limit, signal, newFirst });
    await keys.settled();
    const claim = await this.#member.claim({ limit, signal: keys.claiming(signal), newFirst });
    keys.claimed(claim);
    return claim;
  }

  async #receive(claim: Claim): Promise<void> {
    const { records, missing, removed, disturbed, healed, control } = claim;
    if (control !== undefined) this.#pausing.learn(control);
    if (missing.length > 0) this.#owner.missing(this.eventType, rangeOf(missing), missing);
    if (removed !== undefined) this.#owner.missing(this.eventType, removed);
    if (healed !== undefined) this.#owner.healed(this.eventType, healed);
    // Not awaited: this consumer has the claimed records in any case.
    if (disturbed) this.#lease.renewNow();
    this.#heldBack?.claimed(records, disturbed);
    if (records.length === 0) return;
    if (this.#open === 0) this.#progressAt = Date.now();
    this.#open += records.length;
    this.#window.claimed(records.length);
    this.#bytes.claimed(records);
    this.#sinceTurn += records.length;
    // These records must not overtake records that wait for a later turn.
    if (this.#sinceTurn < LARGE_BATCH && this.#handing === 0) return this.#toJobs(claim);
    this.#sinceTurn = 0;
    this.#handing++;
    this.#handed = new Promise<void>((resolve) => {
      const hand = () => {
        this.#handing--;
        resolve(this.#toJobs(claim));
      };
      // Some clients write their commands in the next turn of the event loop. This is the turn after it.
      nextTurn(() => nextTurn(hand));
    });
    // If there is room for more entries, the next claim is sent before the handlers start.
    if (this.#roomFor() === 0) await this.#handed;
  }

  #toJobs({ records, holding }: Pick<Claim, "records" | "holding">): void {
    const jobs: Job[] = [];
    let later = this.#decoding.busy;
    for (const record of records) {
      const eventType = this.#codec.typeOf(record.fields);
      const decoded = this.#codec.decode(eventType, record);
      const content = decoded instanceof Promise ? undefined : decoded;
      const job = new Job(this, record, ++this.#claimed, eventType, content);
      if (decoded instanceof Promise) {
        later = true;
        this.#decoding.follow(job, decoded);
      }
      this.#heldKeys?.made(job, record.fields, holding);
      this.#held.add(job);
      jobs.push(job);
      if (job.recovered > 0) this.#owner.recovered(job);
    }
    const inOrder = this.#lostKeys?.pass(jobs) ?? jobs;
    if (later) this.#decoding.push(inOrder);
    else this.#admit(inOrder);
  }

  #admit(jobs: readonly Job[]): void {
    this.#heldKeys?.changed();
    // First, because a job that has to go back must do so before the next claim.
    if (this.#heldKeys === undefined) this.#pass(jobs);
    else this.#heldKeys.admit(jobs);
  }

  /** Has jobs start whose key no dead letter holds, except those that a change of the partitions holds back. */
  #pass(jobs: readonly Job[]): void {
    if (this.#heldBack === undefined) this.#owner.runner.admit(jobs);
    else this.#heldBack.admit(jobs);
  }

  noteLost(jobs: readonly Job[]): void {
    this.#lostKeys?.note(jobs);
  }

  handlerStarted(): void {
    this.#running.started();
    this.#windows?.handlerStarted();
  }

  handlerEnded(): void {
    this.#windows?.handlerEnded();
    this.#running.ended();
  }

  /** Resolves when no handler of its deliveries runs. */
  idle(): Promise<void> {
    return this.#running.idle();
  }

  jobClosed({ size }: Job): void {
    this.#open--;
    this.#bytes.closed(size);
    this.#decoding.update();
    this.#heldKeys?.changed();
    this.#window.done(this.#open);
    this.updateRoom();
  }

  // Wakes the reader only if there is room: to wake it for each handler would cost more than a handler.
  updateRoom(): void {
    if (this.#roomFor() > 0 || this.#isStalled(true) !== this.#stalled) this.#room.wake();
  }

  /** The state of this consumer, as `subscription.info()` shows it. */
  info(): SubscriptionTypeInfo {
    const jobs = this.#held.all();
    const { length: waiting } = jobs.filter(({ unsettled, state }) => unsettled && state !== "running");
    return {
      eventType: this.eventType,
      eventTypes: this.#codec.types,
      ...(this.partition !== undefined && { partition: this.partition }),
      consumer: this.consumer,
      held: jobs.length,
      waiting,
      running: this.#running.count,
      stalled: this.#stalled,
      paused: this.#pausing.pause,
      leaseRenewedAt: new Date(this.#lease.renewedAt),
      lastProgressAt: new Date(this.#progressAt),
    };
  }

  /** The jobs of the deliveries that the store has given to this consumer. */
  jobs(): Job[] {
    return this.#held.all();
  }

  settle(job: Job, outcome: Outcome, onReply?: (refused: boolean) => void): void {
    this.#settler.push(job, outcome, onReply);
  }

  #settled(job: Job, outcome: Outcome, refused: boolean): void {
    const goesOn = !refused && (outcome.kind === "isolate" || outcome.kind === "retry" && outcome.hold === true);
    if (!goesOn) this.#held.remove(job);
    if (this.#probing && outcome.kind === "ack") this.#probing = false;
    if (refused) this.#owner.runner.lost([job]);
  }

  async keep({ position, fence }: Job, name: string, text: string, signal: AbortSignal): Promise<boolean> {
    const keep = () => this.#member.keep({ position, fence }, name, text);
    return await untilReached(keep, signal, (error, delay) => this.#owner.retrying(error, delay)) ?? false;
  }

  async kept({ position, fence }: Job, signal: AbortSignal): Promise<Readonly<Record<string, string>>> {
    const read = () => this.#member.kept({ position, fence });
    return await untilReached(read, signal, (error, delay) => this.#owner.retrying(error, delay)) ?? {};
  }

  /** Renews the lease now, to learn which deliveries were lost. */
  renewNow(): void {
    this.#lease.renewNow();
  }

  renewUntilDone(): Promise<void> {
    return this.#lease.renewUntilDone();
  }

  // Stalled means that handlers are idle while the window is full of jobs that wait behind busy keys.
  #checkStalled(full: boolean): void {
    const stalled = this.#isStalled(full);
    if (stalled === this.#stalled) return;
    this.#stalled = stalled;
    this.#lease.renewNow();
  }

  #isStalled(full: boolean): boolean {
    const { key, concurrency, batch } = this.#settings;
    return full && key !== undefined && this.#allRunning < (batch === undefined ? concurrency : 1);
  }

  /** From now on no handler of its deliveries starts, though the subscription goes on. */
  drain(): void {
    this.#draining = true;
  }

  /** Stops claiming. The records of the last claim still become jobs. */
  async stopReading(): Promise<void> {
    this.#stopReading.abort();
    this.#endClaim.abort();
    await this.#reading;
    await this.#handed;
  }

  /** Waits until the store has all outcomes, and leaves the group, which releases all other deliveries. */
  async leave(deadline: AbortSignal): Promise<void> {
    if (this.#started) controlPoll.ended();
    this.#started = false;
    this.#decoding.close();
    try {
      await this.#settler.drain(deadline);
    } finally {
      // Also if the store does not reply: a renewed lease would keep the deliveries from other consumers.
      await unlessAborted(this.#lease.stop(), deadline);
    }
    this.#window.leave();
    this.#bytes.leave();
    await this.#leaveGroup(deadline);
    for (const job of this.#held.all()) job.abort(new LeaseLostError("The subscription is closed"));
    this.#held.clear();
  }

  /** Leaves the group, and tries again until the deadline while the store cannot be reached: leaving twice is safe. */
  async #leaveGroup(deadline: AbortSignal): Promise<void> {
    for (let attempt = 1;; attempt++) {
      try {
        await unlessAborted(this.#member.leave(), deadline);
        return;
      } catch (error) {
        if (!isTransient(error) || deadline.aborted) throw error;
        await sleep(backoff(RECONNECT, attempt), deadline);
      }
    }
  }
}

function rangeOf(positions: readonly Position[]): RemovedRange {
  const sorted = positions.toSorted(comparePositions);
  return { from: sorted[0]!, to: sorted.at(-1)!, count: sorted.length };
}
