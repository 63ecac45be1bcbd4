import { Fifo } from "../../store/_fifo.ts";
import type { Job } from "./_job.ts";

/** What the scheduler has others do. */
export interface SchedulerTasks {
  /** Runs the job's handler; {@linkcode Scheduler.ended} is called when it has ended. */
  run(job: Job): void;
  /** Has the store know that the job runs alone from now on; resolves with false when it is not ours any more. */
  isolate(job: Job): Promise<boolean>;
  /** Makes sure that the job is still ours. */
  renew(job: Job): Promise<void>;
}

interface Line {
  /** The job whose turn it is: ready, running, or holding for its next attempt. */
  current: Job;
  readonly behind: Fifo<Job>;
}

/**
 * Decides what starts when: at most `concurrency` handlers at once, one at a time of each key, and a job suspected of
 * killing its process all alone.
 */
export class Scheduler {
  #concurrency: number;
  #tasks: SchedulerTasks;
  #ready = new Fifo<Job>();
  #suspects = new Fifo<Job>();
  #lines = new Map<string, Line>();
  #running = 0;
  #alone: Job | undefined;
  #pumping = false;
  #renewing = false;
  #stopped = false;
  #idle: (() => void)[] = [];

  constructor(concurrency: number, tasks: SchedulerTasks) {
    this.#concurrency = concurrency;
    this.#tasks = tasks;
  }

  /** Takes a job whose key is set, if keys there are. */
  admit(job: Job): void {
    if (job.key === undefined) return this.enqueue(job);
    const line = this.#lines.get(job.key);
    if (line !== undefined) return line.behind.push(job);
    this.#lines.set(job.key, { current: job, behind: new Fifo() });
    this.enqueue(job);
  }

  /** It is the job's turn: for the first time, or for its next attempt. */
  enqueue(job: Job): void {
    job.state = "waiting";
    (job.suspect ? this.#suspects : this.#ready).push(job);
  }

  /** Starts what may start. */
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
    if (this.#stopped || this.#alone !== undefined || this.#renewing || this.#running >= this.#concurrency) {
      return false;
    }
    const queue = this.#suspects.length > 0 ? this.#suspects : this.#ready;
    const job = queue.peek();
    if (job === undefined) return false;
    if (job.state !== "waiting") {
      // It was lost or handed back while it stood here.
      queue.shift();
      return true;
    }
    if (queue === this.#suspects && this.#running > 0) return false;
    if (!job.source.fresh) return this.#renewFirst(job);
    queue.shift();
    if (queue === this.#suspects) void this.#startAlone(job);
    else this.#start(job);
    return true;
  }

  #renewFirst(job: Job): false {
    this.#renewing = true;
    this.#tasks.renew(job).finally(() => {
      this.#renewing = false;
      this.pump();
    });
    return false;
  }

  async #startAlone(job: Job): Promise<void> {
    this.#alone = job;
    job.state = "starting";
    if (await this.#tasks.isolate(job) && !this.#stopped) this.#start(job);
    else this.aloneNoMore(job);
  }

  #start(job: Job): void {
    this.#running++;
    job.source.running++;
    job.busy = true;
    job.state = "running";
    this.#tasks.run(job);
  }

  /** A handler gave its slot back. */
  ended(job: Job): void {
    job.source.running--;
    this.#running--;
    if (this.#running === 0) { for (const resolve of this.#idle.splice(0)) resolve(); }
    this.pump();
    job.source.lookForRoom();
  }

  /** The job that ran alone is settled. */
  aloneNoMore(job: Job): void {
    if (this.#alone !== job) return;
    this.#alone = undefined;
    this.pump();
  }

  /** The job has ended for good: the next of its key has its turn. */
  leaveLine(job: Job): void {
    const line = job.key === undefined ? undefined : this.#lines.get(job.key);
    if (line?.current !== job) return;
    let next = line.behind.shift();
    while (next !== undefined && next.state !== "waiting") next = line.behind.shift();
    if (next === undefined) this.#lines.delete(job.key!);
    else {
      line.current = next;
      this.enqueue(next);
      this.pump();
    }
  }

  /** Starts nothing from now on. */
  stop(): void {
    this.#stopped = true;
  }

  /** Resolves when no handler runs. */
  idle(): Promise<void> {
    return this.#running === 0 ? Promise.resolve() : new Promise((resolve) => this.#idle.push(resolve));
  }
}
