import { show } from "../../../events/_check.ts";
import { encodeDetail } from "../../../events/_lossless.ts";
import { LeaseLostError } from "../../errors.ts";

const MAX_NAME = 200;

/** The delivery that a handler takes steps for. */
export interface SteppedDelivery {
  readonly eventType: string;
  readonly position: string;
  readonly consumer: string;
  /** The signal of this attempt. */
  readonly signal: AbortSignal;
  /** Keeps a text beside the delivery in the store; resolves with false if it is lost, or the signal has aborted. */
  keep(name: string, text: string): Promise<boolean>;
  /** The texts that are kept beside it, by name. */
  kept(): Promise<Readonly<Record<string, string>>>;
}

/**
 * The steps of one attempt to handle an event. The answer of a step is kept in the store beside the delivery, so that a later
 * attempt does not do the step again.
 */
export class Steps {
  #delivery: SteppedDelivery;
  /** Steps that run, or have succeeded in this attempt. */
  #running = new Map<string, Promise<unknown>>();
  #kept: Promise<Readonly<Record<string, string>>> | undefined;

  constructor(delivery: SteppedDelivery) {
    this.#delivery = delivery;
  }

  once<T>(name: string, step: () => T | PromiseLike<T>): Promise<T> {
    if (typeof name !== "string" || name === "" || name.length > MAX_NAME) {
      throw new TypeError(`Cannot do ${show(name)} once: give a name of 1 to ${MAX_NAME} characters`);
    }
    if (typeof step !== "function") throw new TypeError(`Cannot do "${name}" once: ${show(step)} is no function`);
    let running = this.#running.get(name);
    if (running === undefined) {
      running = this.#do(name, step);
      this.#running.set(name, running);
      // A step that failed may be tried again in the same attempt.
      running.catch(() => this.#running.delete(name));
    }
    return running as Promise<T>;
  }

  async #do(name: string, step: () => unknown): Promise<unknown> {
    const kept = await (this.#kept ??= this.#read());
    if (Object.hasOwn(kept, name)) return kept[name] === "" ? undefined : JSON.parse(kept[name]!);
    const { eventType, position, consumer, signal } = this.#delivery;
    signal.throwIfAborted();
    const answer = await step();
    // JSON has no undefined.
    const text = answer === undefined ? "" : encoded(name, answer);
    if (!await this.#delivery.keep(name, text)) {
      signal.throwIfAborted();
      throw new LeaseLostError(
        `Cannot keep the answer "${name}" of ${eventType} at ${position}: ${consumer} has lost it`,
      );
    }
    return answer;
  }

  #read(): Promise<Readonly<Record<string, string>>> {
    const kept = this.#delivery.kept();
    kept.catch(() => this.#kept = undefined);
    return kept;
  }
}

function encoded(name: string, answer: unknown): string {
  try {
    return encodeDetail(answer);
  } catch (error) {
    throw new TypeError(
      `Cannot keep the answer "${name}": ${(error as Error).message}; give plain data, or do without an answer`,
      { cause: error },
    );
  }
}
