import { Fifo } from "../../../store/_fifo.ts";
import { comparePositions } from "../../../store/mod.ts";
import type { RateGate } from "../flow/_rate_gate.ts";
import type { Job } from "./_job.ts";
import { RunningCount } from "./_running_count.ts";

/** What a scheduler asks its owner to do. */
export interface SchedulerTasks {
  /** Runs the job's handler; {@linkcode Scheduler.handlerEnded} is called at its end. */
  run(job: Job): void;
  /** Settles a waiting job whose event has expired; returns false for any other one. */
  expire(job: Job): boolean;
  /** Has the store record that the job runs exclusively; resolves with false when the delivery is lost. */
  isolate(job: Job): Promise<boolean>;
  /** Gives the job back, because its consumer has stopped before its handler could start. */
  release(job: Job): void;
  /** Renews the lease of the job's consumer; never rejects. */
  renew(job: Job): Promise<void>;
}

/** Decides when jobs start. */
export interface JobScheduler {
  /** Takes a waiting job, whose key is set if there are keys. */
  admit(job: Job): void;
  /** The waiting job may start: its next attempt is due, or it has to run again. */
  enqueue(job: Job): void;
  /** Starts jobs while there is room. */
  pump(): void;
  /** The handler of a job has ended, or has timed out. */
  handlerEnded(job: Job): void;
  /** If this job ran exclusively, other jobs may start now: it is settled, lost or holding. */
  endExclusive(job: Job): void;
  /**
   * The job takes a place in the order of its key, though its handler does not start: it is about to become a dead letter that
   * holds the key.
   */
  takePlace(job: Job): void;
  /**
   * The job has become a dead letter that holds its key. Removes and returns the jobs of later events of the key, which have
   * to wait in the store.
   */
  holdKey(job: Job): Job[];
  /** The job has ended: the next job of its key may start. */
  leaveKey(job: Job): void;
  /** Starts no job from now on. */
  stop(): void;
  /** How many handlers run. */
  readonly running: number;
  /** Resolves when no handler runs. */
  idle(): Promise<void>;
}

/** Jobs of one key, in order. */
interface KeyQueue {
  /** The job whose turn it is: waiting, running, or holding for its next attempt. */
  current: Job;
  readonly behind: Fifo<Job>;
}

/**
 * Decides when jobs start: at most `concurrency` handlers run at once, at most one of each key, and a suspect job (see
 * {@linkcode Job.suspect}) runs exclusively.
 */
export class Scheduler implements JobScheduler {
  #concurrency: number;
  #tasks: SchedulerTasks;
  #ready = new Fifo<Job>();
  #suspects = new Fifo<Job>();
  /** Gates that may have jobs, and jobs that have passed theirs. */
  #gates = new Set<RateGate<Job>>();
  #granted = new Set<Job>();
  #keys = new Map<string, KeyQueue>();
  #running = new RunningCount();
  #exclusive: Job | undefined;
  #pumping = false;
  #renewing = false;
  #stopped = false;

  constructor(concurrency: number, tasks: SchedulerTasks) {
    this.#concurrency = concurrency;
    this.#tasks = tasks;
  }

  admit(job: Job): void {
    if (job.key === undefined) return this.enqueue(job);
    const queue = this.#keys.get(job.key);
    if (queue !== undefined) return queue.behind.push(job);
    this.#keys.set(job.key, { current: job, behind: new Fifo() });
    this.enqueue(job);
  }

  enqueue(job: Job): void {
    if (job.retryDelay > 0) return this.#enqueueWhenDue(job);
    (job.suspect ? this.#suspects : this.#ready).push(job);
  }

  #enqueueWhenDue(job: Job): void {
    job.holdUntilDue(() => {
      this.enqueue(job);
      this.pump();
    });
  }

  pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    try {
      while (this.#startNext());
    } finally {
      this.#pumping = false;
    }
  }

  #startNext(): boolean {
    if (this.#stopped || this.#exclusive !== undefined || this.#renewing || this.#running.count >= this.#concurrency) {
      return false;
    }
    const queue = this.#suspects.length > 0 ? this.#suspects : this.#ready;
    const job = queue.peek();
    if (job === undefined) return this.#letThrough();
    if (job.state !== "waiting" || job.source.stopped) {
      // It was lost or released while it was queued, or is about to be released.
      queue.shift();
      this.#granted.delete(job);
      return true;
    }
    if (this.#tasks.expire(job)) {
      queue.shift();
      return true;
    }
    if (queue === this.#suspects && this.#running.count > 0) return false;
    const { gate } = job.source;
    if (gate !== undefined && queue === this.#ready && !this.#granted.has(job)) {
      queue.shift();
      gate.push(job);
      this.#gates.add(gate);
      return true;
    }
    if (!job.source.fresh) return this.#renewFirst(job);
    queue.shift();
    this.#granted.delete(job);
    if (queue === this.#suspects) void this.#startExclusively(job);
    else this.#start(job);
    return true;
  }

  /** Takes a job that the limit of its group allows to start. */
  #letThrough(): boolean {
    for (const gate of this.#gates) {
      const job = gate.shift();
      if (job === undefined) continue;
      this.#granted.add(job);
      this.#ready.push(job);
      return true;
    }
    return false;
  }

  #renewFirst(job: Job): false {
    this.#renewing = true;
    this.#tasks.renew(job).finally(() => {
      this.#renewing = false;
      this.pump();
    });
    return false;
  }

  async #startExclusively(job: Job): Promise<void> {
    this.#exclusive = job;
    job.startExclusively();
    if (await this.#tasks.isolate(job) && !this.#stopped) {
      if (!job.source.stopped) return this.#start(job);
      this.#tasks.release(job);
    }
    this.endExclusive(job);
  }

  #start(job: Job): void {
    this.#running.started();
    job.start();
    this.#tasks.run(job);
  }

  handlerEnded(): void {
    this.#running.ended();
    this.pump();
  }

  endExclusive(job: Job): void {
    if (this.#exclusive !== job) return;
    this.#exclusive = undefined;
    this.pump();
  }

  takePlace(job: Job): void {
    const queue = this.#keys.get(job.key!);
    if (queue !== undefined) queue.behind.push(job);
    else this.#keys.set(job.key!, { current: job, behind: new Fifo() });
  }

  holdKey(job: Job): Job[] {
    const queue = this.#keys.get(job.key!);
    if (queue === undefined) return [];
    const later: Job[] = [];
    for (const other of queue.behind.drain()) {
      const waits = other.source === job.source && comparePositions(other.position, job.position) > 0;
      if (!waits || other.keepsKey) queue.behind.push(other);
      else if (other.state === "waiting") later.push(other);
    }
    if (!job.busy) this.leaveKey(job);
    return later;
  }

  leaveKey(job: Job): void {
    const queue = job.key === undefined ? undefined : this.#keys.get(job.key);
    if (queue?.current !== job) return;
    let next = queue.behind.shift();
    while (next !== undefined && next.state !== "waiting" && !next.keepsKey) next = queue.behind.shift();
    if (next === undefined) this.#keys.delete(job.key!);
    else if (next.keepsKey) queue.current = next;
    else {
      queue.current = next;
      this.enqueue(next);
      this.pump();
    }
  }

  stop(): void {
    this.#stopped = true;
  }

  get running(): number {
    return this.#running.count;
  }

  idle(): Promise<void> {
    return this.#running.idle();
  }
}
