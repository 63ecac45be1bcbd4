import { show } from "../../../events/_check.ts";
import type { DomainEvent } from "../../../events/mod.ts";
import type { Batch } from "../../batch.ts";
import type { HandledDelivery } from "../../_causation.ts";
import { failedEvents, LeaseLostError } from "../../errors.ts";
import { type Job, JobDelivery, type JobSource } from "../jobs/_job.ts";
import type { HandlerEnd, OnHandlerEnd } from "../jobs/_job_runner.ts";

const ACK: HandlerEnd = { kind: "ack" };

/** One job of a batch, as it was when the batch started. */
interface Part<E extends DomainEvent> {
  readonly job: Job;
  readonly delivery: JobDelivery<E>;
  /** Whether its end was told: it was acknowledged, or the batch is over. */
  ended: boolean;
}

/** A batch whose handler runs. It tells how the handler of each job ended. */
export class RunningBatch<E extends DomainEvent> implements Batch<E>, HandledDelivery {
  readonly events: readonly E[];
  readonly deliveries: readonly JobDelivery<E>[];
  readonly attempt = 1;
  #parts: readonly Part<E>[];
  #byEvent: Map<unknown, Part<E>>;
  #onEnd: OnHandlerEnd;
  #onOver: (batch: RunningBatch<E>) => void;
  #controller: AbortController | undefined;
  #busy = true;
  #telling = false;

  /** @param onOver Called once, when the handler has ended or timed out. */
  constructor(jobs: readonly Job[], onEnd: OnHandlerEnd, onOver: (batch: RunningBatch<E>) => void) {
    this.#parts = jobs.map((job) => ({ job, delivery: new JobDelivery<E>(job), ended: false }));
    this.deliveries = Object.freeze(this.#parts.map(({ delivery }) => delivery));
    this.events = Object.freeze(this.deliveries.map(({ event }) => event));
    this.#byEvent = new Map(this.#parts.map((part) => [part.delivery.event, part]));
    this.#onEnd = onEnd;
    this.#onOver = onOver;
  }

  get source(): JobSource {
    return this.#parts[0]!.job.source;
  }

  get busy(): boolean {
    return this.#busy;
  }

  /** Whether it tells the end of a job itself, so that the job has not timed out. */
  get telling(): boolean {
    return this.#telling;
  }

  get signal(): AbortSignal {
    if (this.#controller !== undefined) return this.#controller.signal;
    const controller = this.#controller = new AbortController();
    const check = () => {
      const left = this.#parts.filter(({ ended }) => !ended);
      const alive = left.some(({ delivery }) => !delivery.signal.aborted);
      if (!alive && left.length > 0) controller.abort(left[0]!.delivery.signal.reason);
    };
    for (const { delivery } of this.#parts) delivery.signal.addEventListener("abort", check, { once: true });
    check();
    return controller.signal;
  }

  ack(...events: readonly E[]): Promise<void> {
    const acknowledged = this.#ack(events);
    // The handler may not await it: what was lost is known by `leaselost`, too.
    acknowledged.catch(() => {});
    return acknowledged;
  }

  async #ack(events: readonly E[]): Promise<void> {
    if (!this.#busy) {
      throw new TypeError("Cannot acknowledge events of a batch: its handler has ended; acknowledge them before");
    }
    const parts = events.map((event) => {
      const part = this.#byEvent.get(event);
      if (part === undefined) {
        throw new TypeError(
          `Cannot acknowledge ${show(event)}: it is no event of this batch; give those in batch.events`,
        );
      }
      return part;
    });
    const replies = [...new Set(parts)].filter(({ ended }) => !ended).map(async (part) => {
      const tooLate = part.job.state !== "running";
      const settled = new Promise<boolean>((resolve) => part.job.onSettled(resolve));
      this.#tell(part, ACK);
      return tooLate || await settled ? part : undefined;
    });
    const lost = (await Promise.all(replies)).find((part) => part !== undefined);
    if (lost === undefined) return;
    const { delivery: { event: { type }, position, consumer, signal } } = lost;
    throw new LeaseLostError(`Cannot settle ${type} at ${position}: ${consumer} no longer has it`, {
      cause: signal.reason,
    });
  }

  /** The handler has succeeded: acknowledges all events that are not settled. */
  succeeded(): void {
    for (const part of this.#parts) this.#tell(part, ACK);
    this.#end();
  }

  /** The handler has failed: with a BatchError for some events, otherwise for all that are not settled. */
  failed(error: unknown): void {
    const failed = failedEvents(error);
    const unknown = failed && [...failed.keys()].find((event) => !this.#byEvent.has(event));
    if (failed === undefined || unknown !== undefined) {
      const reason = unknown === undefined ? error : new TypeError(
        `Cannot fail ${show(unknown)} by a BatchError: it is no event of this batch; name events of batch.events`,
        { cause: error },
      );
      for (const part of this.#parts) this.#tell(part, { kind: "fail", error: reason });
      return this.#end();
    }
    const behind = new Set<string>();
    for (const part of this.#parts) {
      const { job: { key }, delivery: { event } } = part;
      const inOrder = key === undefined || !behind.has(key);
      if (!failed.has(event)) this.#tell(part, inOrder ? ACK : { kind: "again" });
      else {
        if (key !== undefined && !part.ended) behind.add(key);
        this.#tell(part, { kind: "fail", error: failed.get(event) });
      }
    }
    this.#end();
  }

  /** One of the jobs has timed out: all have, since one handler has them all. */
  timedOut(error: unknown): void {
    for (const part of this.#parts) {
      if (part.ended) continue;
      part.job.abort(error);
      this.#tell(part, { kind: "fail", error });
    }
    this.#end();
  }

  #tell(part: Part<E>, end: HandlerEnd): void {
    if (part.ended) return;
    part.ended = true;
    this.#telling = true;
    this.#onEnd(part.job, part.delivery.attempt, end);
    this.#telling = false;
  }

  #end(): void {
    if (!this.#busy) return;
    this.#busy = false;
    this.#onOver(this);
  }
}
