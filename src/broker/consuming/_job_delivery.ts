import type { DomainEvent } from "../../events/mod.ts";
import type { Position } from "../../store/mod.ts";
import type { Delivery } from "../delivery.ts";
import type { Job } from "./_job.ts";

/** The delivery that a handler receives for a job. */
export class JobDelivery<E extends DomainEvent> implements Delivery<E> {
  readonly event: E;
  readonly position: Position;
  readonly group: string;
  readonly consumer: string;
  readonly attempt: number;
  readonly recovered: number;
  #job: Job;
  #signal: AbortSignal | undefined;

  constructor(job: Job) {
    this.#job = job;
    this.event = job.content as E;
    this.position = job.position;
    this.group = job.source.group;
    this.consumer = job.source.consumer;
    this.attempt = job.attempt;
    this.recovered = job.recovered;
  }

  get signal(): AbortSignal {
    // Kept, since the next attempt of the same job has another one.
    return this.#signal ??= this.#job.signal;
  }
}
