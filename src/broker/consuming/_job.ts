import type { DomainEvent } from "../../events/mod.ts";
import type { ClaimedRecord, Position } from "../../store/mod.ts";
import type { Decoded } from "../codec/_event_codec.ts";
import type { DecodingFailure } from "../codec/_detail_contract.ts";
import type { Delivery } from "../delivery.ts";
import type { StreamConsumer } from "./_stream_consumer.ts";

/**
 * Where a job stands: `decoding` its entry, where that takes a while, `waiting` for its turn, `starting` (its isolation is being written down), `running` its handler,
 * `holding` for its next attempt in its key's line, `settling` its outcome, or `gone`: settled, handed back or lost.
 */
export type JobState = "decoding" | "waiting" | "starting" | "running" | "holding" | "settling" | "gone";

/** What an entry turned out to be; undefined before that, and after it was handled. */
export type Content = Decoded<DomainEvent> | DecodingFailure | undefined;

/** One delivery in the engine, from claim to settled. */
export class Job {
  readonly source: StreamConsumer;
  /** What was decoded, or why it could not be; let go of once it is handled, long before the store has answered. */
  content: Content;
  readonly position: Position;
  readonly fence: string;
  readonly recovered: number;
  /** True when it was held for longer than anybody was to wait for a consumer that knows its version. */
  readonly expired: boolean;
  attempt: number;
  state: JobState = "waiting";
  /** The key whose line it stands in. */
  key: string | undefined;
  /** When its next attempt is due, while it is holding. */
  retryAt = 0;
  /** What it failed with, if it did. */
  error: unknown;
  /** Where it stands among what its consumer has, and as which of all that it ever had. */
  place = -1;
  nth = 0;
  /** True until it needs no room any more. */
  open = true;
  /** True from the start of its handler to its end, whatever became of the delivery meanwhile. */
  busy = false;
  /** Told once the store knows how it ended: whether that was refused. */
  onSettled: ((refused: boolean) => void) | undefined;
  #controller: AbortController | undefined;
  #abortReason: unknown;

  constructor(source: StreamConsumer, record: ClaimedRecord, content: Content) {
    this.source = source;
    this.content = content;
    this.position = record.position;
    this.fence = record.fence;
    this.recovered = record.recovered;
    this.expired = record.expired === true;
    this.attempt = record.attempt;
  }

  /** Came back from a second dead consumer: may well be what kills them, and runs alone. */
  get suspect(): boolean {
    return this.recovered >= 2;
  }

  // Few handlers ask for their signal: the controller is made when one does.
  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.#abortReason !== undefined) this.#controller.abort(this.#abortReason);
    }
    return this.#controller.signal;
  }

  abort(reason: unknown): void {
    this.#abortReason ??= reason;
    this.#controller?.abort(reason);
  }

  /** A new attempt in the same delivery has a signal of its own. */
  renewSignal(): void {
    this.#controller = undefined;
    this.#abortReason = undefined;
  }
}

/** What the handler sees of a job. */
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
    return this.#signal ??= this.#job.signal;
  }

  /** Resolves when the store knows how the delivery ended: with true if it was lost before. */
  settled(): Promise<boolean> {
    return new Promise((resolve) => this.#job.onSettled = resolve);
  }
}
