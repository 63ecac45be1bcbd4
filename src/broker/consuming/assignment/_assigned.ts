import { StoreError } from "../../../store/mod.ts";
import { backoff, isTransient, nextTurn, RECONNECT, settledWithin, sleep } from "../../_store_retry.ts";
import type { Partitions } from "./_plan.ts";
import { type PartitionTasks, PartitionWorker } from "./_partition_worker.ts";
import { assertAssignment, type Roster, type Seat, seated, type SharedRoster } from "./_roster.ts";

// How often to look at the plan, in milliseconds.
const POLL_INTERVAL = 250;
// How long the store must have replied without a break before a consumer with an expired lease counts as dead, in
// milliseconds. After an outage all leases have expired, and living consumers need time to renew theirs.
const STEADY = 1_000;
// A roster that is missing was deleted with its group, or lost with the data of the store. It is made again after this many
// looks, so that the consumers of a deleted group have ended before.
const MISSED = 4;
// How long closing waits for a store that does not reply, in milliseconds. The lease ends the seat then.
const LEAVE_TIMEOUT = 5_000;

/** What an assigned consumer needs to know. */
export interface AssignedOptions {
  readonly roster: SharedRoster;
  readonly group: string;
  /** The stream that is partitioned, for error messages. */
  readonly stream: string;
  /** The name of the consumer in its group. */
  readonly consumer: string;
  /** The partitions that there are at first. */
  readonly partitions: Partitions;
  /** In milliseconds. */
  readonly lease: number;
}

/** Tasks that an assigned consumer gives to its subscription. */
export interface AssignedTasks extends PartitionTasks {
  /** The plan gives this consumer other partitions than before. */
  rebalanced(assigned: readonly number[], gained: readonly number[], lost: readonly number[]): void;
}

/**
 * One consumer of a group among others: takes part in the plan, and has the partitions that the plan gives it.
 *
 * The plan decides who should have a partition, and the store who has it: a partition is joined exclusively. So two
 * consumers that see different plans do no harm.
 */
export class AssignedConsumer {
  #options: AssignedOptions;
  #tasks: AssignedTasks;
  #seat: string;
  #workers: PartitionWorker[] = [];
  #partitions!: Partitions;
  #roster: Roster | undefined;
  #stop = new AbortController();
  #joining: Promise<void> | undefined;
  #polling: Promise<void> | undefined;
  #seenAt = -Infinity;
  #steadySince = Infinity;
  #missed = 0;

  /** Takes part in the plan only after {@linkcode join}. */
  constructor(options: AssignedOptions, tasks: AssignedTasks) {
    this.#options = options;
    this.#tasks = tasks;
    this.#seat = `${options.consumer}.${crypto.randomUUID().slice(0, 8)}`;
    this.#grow(options.partitions);
  }

  /**
   * Joins the other consumers.
   *
   * @param prepare Makes the group in all partitions, unless a consumer has done so, and rejects if its terms are others.
   * @throws {StoreError} `"name-taken"` while another live consumer has the name, `"assignment-differs"` if the group's
   * assignment is another one.
   */
  join(prepare: (isFounded: boolean) => Promise<void>): Promise<void> {
    return this.#joining = this.#join(prepare);
  }

  async #join(prepare: (isFounded: boolean) => Promise<void>): Promise<void> {
    const { roster, group, stream } = this.#options;
    const before = (await roster.read()).roster;
    if (before !== undefined) assertAssignment(before, "exclusive", group, stream);
    await prepare(before?.founded === true);
    const joined = await roster.update((current, now) => {
      if (current !== undefined) assertAssignment(current, "exclusive", group, stream);
      if (this.#stop.signal.aborted) return current;
      this.#assertNameIsFree(current, now);
      return this.#renewed(current, now, true);
    });
    // Closed meanwhile, it joins no partition that it would have to leave again.
    if (this.#stop.signal.aborted) return;
    this.#followed(joined);
    // Each partition is joined, or another consumer has it and will leave it.
    await Promise.all(this.#workers.map((worker) => worker.tried()));
  }

  #grow(partitions: Partitions): void {
    this.#partitions = partitions;
    while (this.#workers.length < partitions.live.length) {
      this.#workers.push(new PartitionWorker(this.#workers.length, this.#tasks));
    }
  }

  /** The stream has another layout now. */
  relayout(partitions: Partitions): void {
    if (this.#stop.signal.aborted) return;
    this.#grow(partitions);
    // Another consumer may have planned for them already.
    this.#apply(this.#roster);
  }

  /** Follows the plan from now on. */
  start(): void {
    // In the next turn of the event loop: the caller of `subscribe` can add its listeners before.
    const { assigned } = this;
    if (assigned.length > 0) nextTurn(() => this.#tasks.rebalanced(assigned, assigned, []));
    this.#polling = this.#poll().catch((error) => this.#tasks.failed(error));
  }

  /** The partitions that the plan gives this consumer. */
  get assigned(): number[] {
    return this.#workers.flatMap(({ wanted }, partition) => wanted ? [partition] : []);
  }

  /** This consumer was given up for dead in the partition, and another one has joined it. */
  lost(partition: number): void {
    this.#workers[partition]!.lost();
  }

  async #poll(): Promise<void> {
    const { signal } = this.#stop;
    const interval = Math.min(POLL_INTERVAL, this.#options.lease / 4);
    for (let [failures, delay] = [0, interval];;) {
      await sleep(delay, signal);
      if (signal.aborted) return;
      try {
        await this.#look();
        failures = 0;
        // Random, so that consumers do not look at the same time.
        delay = interval * (0.8 + 0.4 * Math.random());
      } catch (error) {
        if (!isTransient(error)) throw error;
        this.#steadySince = Infinity;
        delay = Math.min(this.#options.lease / 10, backoff(RECONNECT, ++failures));
        this.#tasks.retrying(error, delay);
      }
    }
  }

  async #look(): Promise<void> {
    const { roster } = this.#options;
    const { signal } = this.#stop;
    const askedAt = performance.now();
    if (askedAt - this.#seenAt > STEADY || this.#steadySince === Infinity) this.#steadySince = askedAt;
    const isSteady = askedAt - this.#steadySince >= Math.min(STEADY, this.#options.lease);
    const seen = await roster.update((current, now) => {
      if (signal.aborted) return current;
      if (current === undefined && ++this.#missed < MISSED) return current;
      return this.#renewed(current, now, isSteady);
    });
    this.#seenAt = performance.now();
    if (seen === undefined || signal.aborted) return;
    this.#missed = 0;
    this.#apply(seen);
  }

  /** The roster in which this consumer is alive, and with `bury` those whose lease is over are not. */
  #renewed(roster: Roster | undefined, now: number, bury: boolean): Roster {
    const { lease } = this.#options;
    // Another consumer may know of a later layout already.
    const partitions = roster?.plan !== undefined && roster.plan.layout > this.#partitions.layout
      ? roster.plan
      : this.#partitions;
    const current = roster ?? { assignment: "exclusive", founded: true, seats: [], plan: undefined };
    const own = current.seats.find(({ name }) => name === this.#seat);
    if (own === undefined) this.#assertNameIsFree(current, now);
    const fresh: Seat = { name: this.#seat, until: now + lease };
    const dead = bury ? current.seats.filter(({ name, until }) => name !== this.#seat && until <= now) : [];
    if (own !== undefined && own.until - now > lease * 2 / 3 && dead.length === 0) {
      return current.plan?.layout === partitions.layout ? current : seated(current, current.seats, partitions);
    }
    const others = current.seats.filter((seat) => !dead.includes(seat));
    const seats = own === undefined ? [...others, fresh] : others.map((seat) => seat === own ? fresh : seat);
    return seated({ ...current, founded: true }, seats, partitions);
  }

  #assertNameIsFree(roster: Roster | undefined, now: number): void {
    const { group, stream, consumer } = this.#options;
    const holder = roster?.seats.find(({ name, until }) =>
      name !== this.#seat && until > now && name.slice(0, name.lastIndexOf(".")) === consumer
    );
    if (holder === undefined) return;
    throw new StoreError(
      "name-taken",
      `Cannot join group "${group}" of ${stream} as "${consumer}": ${holder.name} is alive under that name; give each ` +
        "process another consumer name",
      { holder: holder.name, expiresIn: holder.until - now },
    );
  }

  #apply(roster: Roster | undefined): void {
    const { gained, lost } = this.#followed(roster);
    if (gained.length > 0 || lost.length > 0) this.#tasks.rebalanced(this.assigned, gained, lost);
  }

  /** Begins to follow the plan. Returns how it has changed for this consumer. */
  #followed(roster: Roster | undefined): { gained: readonly number[]; lost: readonly number[] } {
    this.#roster = roster;
    const [gained, lost]: [number[], number[]] = [[], []];
    for (const [partition, worker] of this.#workers.entries()) {
      const wanted = roster?.plan?.partitions[partition]?.owner === this.#seat;
      if (wanted !== worker.wanted) (wanted ? gained : lost).push(partition);
      worker.want(wanted);
    }
    return { gained, lost };
  }

  /** Leaves the plan, so that other consumers take over, and leaves all partitions; never rejects. */
  async close(): Promise<void> {
    this.#stop.abort();
    for (const worker of this.#workers) worker.want(false);
    await Promise.all([
      settledWithin(this.#leave(), LEAVE_TIMEOUT),
      ...this.#workers.map((worker) => worker.settled()),
    ]);
  }

  async #leave(): Promise<void> {
    try {
      // The caller of `join` has its error, or does not wait for it any more.
      await this.#joining?.catch(() => {});
      await this.#polling;
      await this.#options.roster.update((current) => {
        const seats = current?.seats.filter(({ name }) => name !== this.#seat) ?? [];
        if (current === undefined || seats.length === current.seats.length) return current;
        return seated(current, seats, current.plan ?? this.#partitions);
      });
    } catch (error) {
      // The lease ends the seat.
      if (isTransient(error)) this.#tasks.retrying(error, 0);
    }
  }
}
