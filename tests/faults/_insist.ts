import { UncertainPublishError } from "@tidings/broker";
import { sleep } from "../../src/testing/_broker_bench.ts";

/**
 * Publishes again until it is certain whether the event is stored.
 *
 * @param retries Which other errors to try again after. @default {() => false}
 */
export async function insist<T>(
  publish: () => Promise<T>,
  retries: (error: Error) => boolean = () => false,
): Promise<T> {
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      if (!(error instanceof UncertainPublishError || error instanceof Error && retries(error))) throw error;
    }
  }
}

/** Whether an error says that the event was not stored in time. */
export function isTooLate({ message }: Error): boolean {
  return /^Cannot publish to \S+ in time: .*; nothing was stored, publish it again$/.test(message);
}

/** Calls again until the call succeeds, for `timeout` milliseconds; then rejects with the last error. */
export async function eventuallySucceeds<T>(call: () => Promise<T>, timeout = 10_000): Promise<T> {
  for (const deadline = performance.now() + timeout;; await sleep(2)) {
    try {
      return await call();
    } catch (error) {
      if (performance.now() > deadline) {
        throw new Error(`No call succeeded within ${timeout} ms: ${error}`, { cause: error });
      }
    }
  }
}
