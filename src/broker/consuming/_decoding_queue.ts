import { Fifo } from "../../store/_fifo.ts";
import type { Decoded } from "../codec/_event_codec.ts";
import { DecodingFailure } from "../codec/_detail_contract.ts";
import { Deadlines } from "./_deadlines.ts";
import type { Job } from "./_job.ts";
import type { DomainEvent } from "../../events/mod.ts";

/**
 * Jobs of one stream whose entries take a while to decode, and what came after them: they go on in the order in which
 * they came. All are decoded at once; what is lost or handed back meanwhile is left out.
 */
export class DecodingLine {
  #line = new Fifo<Job>();
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

  /** Whether something stands in it, so that what comes now must stand behind. */
  get busy(): boolean {
    return this.#line.length > 0;
  }

  /** Waits for what the job's entry is. */
  follow(job: Job, decoding: Promise<Decoded<DomainEvent>>): void {
    job.state = "decoding";
    this.#deadlines.add(job);
    decoding.then((content) => this.#decoded(job, content), (error) => this.#decoded(job, error));
  }

  /** Takes jobs, decoded or not. */
  push(jobs: readonly Job[]): void {
    for (const job of jobs) this.#line.push(job);
    this.#advance();
  }

  #timedOut(job: Job): void {
    if (job.state !== "decoding") return;
    const cause = new DOMException(`Decoding took longer than ${this.#timeout} ms`, "TimeoutError");
    const message = `Cannot decode ${job.source.eventType} at ${job.position}: ${cause.message}`;
    this.#decoded(job, new DecodingFailure(message, { cause }));
  }

  #decoded(job: Job, content: Decoded<DomainEvent> | DecodingFailure): void {
    if (job.state !== "decoding") return;
    job.content = content;
    job.state = "waiting";
    this.#advance();
  }

  /** Something in it may have been lost or handed back: looks what may go on. */
  look(): void {
    if (this.busy) this.#advance();
  }

  #advance(): void {
    // What is let go on may end at once, and have this called again: its turn comes here.
    if (this.#advancing) return;
    this.#advancing = true;
    try {
      for (let ready = this.#take(); ready.length > 0; ready = this.#take()) this.#admit(ready);
    } finally {
      this.#advancing = false;
    }
  }

  #take(): Job[] {
    const ready: Job[] = [];
    for (let job = this.#line.peek(); job !== undefined && job.state !== "decoding"; job = this.#line.peek()) {
      this.#line.shift();
      if (job.state === "waiting") ready.push(job);
    }
    return ready;
  }

  /** Waits for nothing any more. */
  close(): void {
    this.#deadlines.clear();
  }
}
