import { checkKeys, checkNumber } from "../../../events/_check.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import type { PulledDelivery } from "../../delivery.ts";
import type { Observers } from "../../observing/_observers.ts";
import { LeaseLostError } from "../../errors.ts";
import { type Job, JobDelivery, type JobSource } from "../jobs/_job.ts";
import type { HandlerEnd, OnHandlerEnd } from "../jobs/_job_runner.ts";

/** A delivery that its caller settles: pulling it starts a job, settling it ends the job. */
export class Pulled<E extends DomainEvent> extends JobDelivery<E> implements PulledDelivery<E> {
  /** Resolves when the delivery has ended: with true when it was lost. */
  readonly lost: Promise<boolean>;
  #job: Job;
  #end: (end: HandlerEnd) => void;
  #ended = false;

  constructor(job: Job, onEnd: OnHandlerEnd) {
    super(job);
    const { attempt } = job;
    this.#job = job;
    this.#end = (end) => onEnd(job, attempt, end);
    this.lost = new Promise((resolve) => job.onSettled(resolve));
    // A lost delivery frees its place, whether or not the caller settles it.
    this.lost.then((lost) => lost && this.#end({ kind: "release" }));
  }

  /** The consumer that claimed it. */
  get source(): JobSource {
    return this.#job.source;
  }

  /** Its caller is about to get it. */
  pulled(observers: Observers): void {
    if (observers.active) this.#job.observe(observers.handling(this, "pulled"));
  }

  ack(): Promise<void> {
    return this.#settle({ kind: "ack" });
  }

  async nack(error: unknown = new Error("Not acknowledged"), options: { delay?: number } = {}): Promise<void> {
    await this.#settle({ kind: "fail", error, delay: checkedDelay("nack", options) });
  }

  async release(options: { delay?: number } = {}): Promise<void> {
    await this.#settle({ kind: "release", delay: checkedDelay("release", options) });
  }

  /** Whether its event has expired before it was pulled. */
  get isExpired(): boolean {
    return this.#job.isExpired;
  }

  expire(): void {
    this.#ended = true;
    this.#end({ kind: "expire" });
  }

  /** Releases the delivery unless it is settled. */
  giveBack(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#end({ kind: "release" });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.giveBack();
    await this.lost;
  }

  async #settle(end: HandlerEnd): Promise<void> {
    const action = `Cannot settle ${this.event.type} at ${this.position}`;
    if (this.#ended) throw new TypeError(`${action}: it is already settled or released; settle a delivery once`);
    this.#ended = true;
    const tooLate = this.signal.aborted;
    this.#end(end);
    if (tooLate || await this.lost) {
      throw new LeaseLostError(`${action}: ${this.consumer} no longer has it`, { cause: this.signal.reason });
    }
  }
}

function checkedDelay(action: string, options: { delay?: number }): number | undefined {
  checkKeys(`${action} a delivery`, options, ["delay"]);
  if (options.delay !== undefined) checkNumber("delay (ms)", options.delay, { min: 0, max: 2 ** 40 });
  return options.delay;
}
