import type { DomainEvent } from "../../../events/mod.ts";
import { Fifo } from "../../../store/_fifo.ts";
import { DecodingFailure } from "../../codec/_detail_contract.ts";
import type { Decoded } from "../../codec/_event_codec.ts";
import { Deadlines } from "./_deadlines.ts";
import type { Content, Job } from "./_job.ts";

/**
 * Jobs of one stream that decode asynchronously, and all jobs behind them. They decode at the same time, and are admitted in
 * the order of their claims, without those that were lost or released meanwhile.
 */
export class DecodingQueue {
  #queue = new Fifo<Job>();
  #admit: (jobs: readonly Job[]) => void;
  #deadlines: Deadlines<Job>;
  #timeout: number;
  #advancing = false;

  /** @param timeout How long decoding may take, in milliseconds, before it counts as a failed attempt. */
  constructor(timeout: number, admit: (jobs: readonly Job[]) => void) {
    this.#timeout = timeout;
    this.#admit = admit;
    this.#deadlines = new Deadlines(timeout, (job) => this.#timedOut(job));
  }

  /** Whether a job is queued, so that later jobs must queue behind it. */
  get busy(): boolean {
    return this.#queue.length > 0;
  }

  /** Sets the content of the job when it is decoded. */
  follow(job: Job, decoding: Promise<Decoded<DomainEvent>>): void {
    job.decodeLater();
    this.#deadlines.add(job);
    decoding.then((content) => this.#decoded(job, content), (error) => this.#decoded(job, error));
  }

  /** Queues jobs, whether or not they are decoded. */
  push(jobs: readonly Job[]): void {
    for (const job of jobs) this.#queue.push(job);
    this.#advance();
  }

  #timedOut(job: Job): void {
    const cause = new DOMException(`Decoding took longer than ${this.#timeout} ms`, "TimeoutError");
    const message = `Cannot decode ${job.eventType} at ${job.position}: ${cause.message}`;
    this.#decoded(job, new DecodingFailure(message, { cause }));
  }

  #decoded(job: Job, content: Content): void {
    if (job.decoded(content)) this.#advance();
  }

  /** A queued job may have been lost or released: admits the jobs behind it. */
  update(): void {
    if (this.busy) this.#advance();
  }

  #advance(): void {
    // An admitted job may end at once and call this again. The loop below then admits the next jobs.
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      for (let ready = this.#takeReady(); ready.length > 0; ready = this.#takeReady()) this.#admit(ready);
    } finally {
      this.#advancing = false;
    }
  }

  #takeReady(): Job[] {
    const ready: Job[] = [];
    for (let job = this.#queue.peek(); job !== undefined && job.state !== "decoding"; job = this.#queue.peek()) {
      this.#queue.shift();
      if (job.state === "waiting") ready.push(job);
    }
    return ready;
  }

  close(): void {
    this.#deadlines.clear();
  }
}
