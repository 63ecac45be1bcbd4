import { reasonOf } from "../events/_check.ts";
import { unlessAborted } from "./_store_retry.ts";
import { BrokerClosedError } from "./errors.ts";

// How long closing waits for one part of the broker, in milliseconds. The publisher takes less, whatever the store does.
const STEP_TIMEOUT = 15_000;

/** The parts of a broker that closing it needs. */
export interface ClosingOptions {
  /** Closes the broker when it aborts. */
  readonly signal: AbortSignal | undefined;
  /** Whether the caller is inside a handler of the broker, for which closing waits. */
  insideHandler(): boolean;
  /** Closes all subscriptions; resolves with the errors of those that could not be closed cleanly. */
  drain(): Promise<unknown[]>;
  /** Closes the other parts, one after the other. */
  readonly steps: readonly (() => PromiseLike<void>)[];
  /** The broker has closed. */
  closed(): void;
  /** Takes the error of a closing that has no caller to reject. */
  failed(error: unknown): void;
}

/**
 * The end of a broker: open, then closing, while handlers that still run may publish and read, then drained, when nothing
 * is accepted any more, then closed.
 */
export class Closing {
  #options: ClosingOptions;
  #begun = new AbortController();
  #drained = new AbortController();
  #closed: Promise<void> | undefined;
  #abort = () => this.#closeAlone();

  constructor(options: ClosingOptions) {
    this.#options = options;
  }

  /** Aborts when closing begins: from then on no consumer joins a group, and no group is waited for. */
  get begun(): AbortSignal {
    return this.#begun.signal;
  }

  /** Aborts when all handlers have ended. */
  get drained(): AbortSignal {
    return this.#drained.signal;
  }

  /** Whether the broker is closing or closed. */
  get hasBegun(): boolean {
    return this.#closed !== undefined;
  }

  /** Throws when the broker is closing or closed. */
  assertOpen(action: string): void {
    if (this.hasBegun) throw closedError(action);
  }

  /** Throws when the broker has drained. */
  assertUsable(action: string): void {
    if (this.drained.aborted) throw closedError(action);
  }

  /** Follows the signal. Called when all parts of the broker are there, since the signal may have aborted already. */
  followSignal(): void {
    const { signal } = this.#options;
    signal?.addEventListener("abort", this.#abort);
    if (signal?.aborted) this.#abort();
  }

  /** Closes the broker, once; inside a handler it resolves at once, since closing waits for the handler. */
  close(): Promise<void> {
    if (this.#options.insideHandler()) return Promise.resolve(this.#closeAlone());
    return this.#closed ??= this.#shutDown();
  }

  #closeAlone(): void {
    this.#closed ??= this.#shutDown();
    this.#closed.catch((error) => this.#options.failed(error));
  }

  async #shutDown(): Promise<void> {
    const { signal, drain, steps, closed } = this.#options;
    signal?.removeEventListener("abort", this.#abort);
    // Listeners that the next lines call may close again, and must find `#closed` set.
    await Promise.resolve();
    this.#begun.abort(closedError("wait until groups are idle"));
    const failures = await drain();
    this.#drained.abort(closedError("read"));
    for (const step of steps) {
      try {
        await inTime(step);
      } catch (error) {
        failures.push(error);
      }
    }
    closed();
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) {
      const reasons = failures.map(reasonOf).join("; ");
      throw new AggregateError(failures, `Cannot close the broker cleanly: ${reasons}`);
    }
  }
}

/** Calls the step, and waits for its end as long as a store may take. */
async function inTime(step: () => PromiseLike<void>): Promise<void> {
  const timeout = new AbortController();
  const error = new Error(`Cannot close the broker cleanly: the store did not reply within ${STEP_TIMEOUT} ms`);
  const timer = setTimeout(() => timeout.abort(error), STEP_TIMEOUT);
  try {
    await unlessAborted(Promise.resolve(step()), timeout.signal);
  } finally {
    clearTimeout(timer);
  }
}

function closedError(action: string): BrokerClosedError {
  return new BrokerClosedError(`Cannot ${action}: the broker is closed; make a new one`);
}
