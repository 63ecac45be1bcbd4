/**
 * Waiting for a store: which errors allow another try, how long to wait before it, and waits that a signal ends.
 *
 * @module
 */
import { isInstance } from "../events/_foreign.ts";
import { WakeUp } from "../store/_wake_up.ts";
import { StoreError } from "../store/mod.ts";
import type { RetryOptions } from "./options.ts";

/** Delays before the next try of a store: short at first, at most five seconds, and random, so that brokers spread out. */
export const RECONNECT = { minTimeout: 50, maxTimeout: 5_000, multiplier: 2, jitter: 0.5 } as const;

/** How long to wait after the given failed attempt, counted from 1, in milliseconds. */
export function backoff(
  { minTimeout, maxTimeout, multiplier, jitter }: Omit<Required<RetryOptions>, "maxAttempts">,
  attempt: number,
): number {
  const delay = Math.min(maxTimeout, minTimeout * multiplier ** (attempt - 1));
  return Math.round(delay * (1 - jitter * Math.random()));
}

/** Whether the same call may succeed later, because the store could not be reached or its reply was lost. */
export function isTransient(error: unknown): error is StoreError {
  return isInstance(error, StoreError) && (error.kind === "transient" || error.kind === "uncertain");
}

/**
 * Calls the store, and again while it cannot be reached. Resolves with the result, or with undefined once the signal has
 * aborted. Rejects with any other error.
 *
 * @param retrying Called before each wait, with the error and the delay in milliseconds.
 */
export async function untilReached<T>(
  call: () => Promise<T>,
  signal: AbortSignal,
  retrying: (error: unknown, delay: number) => void,
): Promise<T | undefined> {
  for (let attempt = 1; !signal.aborted; attempt++) {
    try {
      return await call();
    } catch (error) {
      if (!isTransient(error)) throw error;
      const delay = backoff(RECONNECT, attempt);
      retrying(error, delay);
      await sleep(delay, signal);
    }
  }
  return undefined;
}

/** Waits `ms` milliseconds, at most until the signal aborts; never rejects. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new WakeUp().wait(signal, ms);
}

/** Waits until the promise has settled, at most `ms` milliseconds; never rejects. */
export async function settledWithin(promise: Promise<unknown>, ms: number): Promise<void> {
  const settled = new AbortController();
  promise.finally(() => settled.abort()).catch(() => {});
  await sleep(ms, settled.signal);
}

/** A signal that aborts when one of these two does. */
export function eitherSignal(one: AbortSignal | undefined, other: AbortSignal): AbortSignal {
  return one === undefined ? other : AbortSignal.any([one, other]);
}

/** Settles as the promise does, or rejects with the reason of the signal if that aborts first. */
export function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };

/** Calls back in the next turn of the event loop. */
export const nextTurn: (callback: () => void) => unknown = setImmediate ?? ((callback) => setTimeout(callback, 0));
