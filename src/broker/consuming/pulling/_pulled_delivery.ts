import type { DomainEvent } from "../../../events/mod.ts";
import type { Position } from "../../../store/mod.ts";
import type { JobDelivery } from "../_job.ts";
import { RELEASE } from "../_group_subscription.ts";
import type { PulledDelivery } from "../../delivery.ts";
import { LeaseLostError } from "../../errors.ts";

/** A delivery whose handler is whoever pulled it. */
export class Pulled<E extends DomainEvent> implements PulledDelivery<E> {
  readonly event: E;
  readonly position: Position;
  readonly group: string;
  readonly consumer: string;
  readonly attempt: number;
  readonly recovered: number;
  /** What the engine takes for the end of the handler. */
  readonly handled: Promise<void>;
  #delivery: JobDelivery<E>;
  #resolve!: () => void;
  #reject!: (reason: unknown) => void;
  #lost: Promise<boolean>;
  #ended = false;

  constructor(delivery: JobDelivery<E>) {
    this.#delivery = delivery;
    this.event = delivery.event;
    this.position = delivery.position;
    this.group = delivery.group;
    this.consumer = delivery.consumer;
    this.attempt = delivery.attempt;
    this.recovered = delivery.recovered;
    this.#lost = delivery.settled();
    this.handled = new Promise((resolve, reject) => [this.#resolve, this.#reject] = [resolve, reject]);
    // What was lost gives its place to the next one, whether or not anybody settles it.
    this.#lost.then((lost) => lost && this.#resolve());
  }

  get signal(): AbortSignal {
    return this.#delivery.signal;
  }

  ack(): Promise<void> {
    return this.#end(this.#resolve);
  }

  nack(error: unknown = new Error("Not acknowledged")): Promise<void> {
    return this.#end(() => this.#reject(error));
  }

  /** Hands the delivery back, unless it was settled. */
  release(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#reject(RELEASE);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    this.release();
    await this.#lost;
  }

  async #end(how: () => void): Promise<void> {
    const what = `Cannot settle ${this.event.type} at ${this.position}`;
    if (this.#ended) throw new TypeError(`${what}: it was settled or handed back before`);
    this.#ended = true;
    const tooLate = this.signal.aborted;
    how();
    if (tooLate || await this.#lost) {
      throw new LeaseLostError(`${what}: ${this.consumer} no longer has it`, { cause: this.signal.reason });
    }
  }
}
