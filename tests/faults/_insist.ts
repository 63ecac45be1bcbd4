import { UncertainPublishError } from "@tidings/broker";
import { sleep } from "../../src/testing/_broker_bench.ts";

/**
 * Publishes until it is known what became of it.
 *
 * @param passes Which other errors to try again after; by default none.
 */
export async function insist<T>(
  publish: () => Promise<T>,
  passes: (error: Error) => boolean = () => false,
): Promise<T> {
  for (;;) {
    try {
      return await publish();
    } catch (error) {
      if (!(error instanceof UncertainPublishError || error instanceof Error && passes(error))) throw error;
    }
  }
}

/** Of an error that says that nothing was stored in time. */
export function isTooLate({ message }: Error): boolean {
  return /^Cannot publish to \S+ in time: .*; nothing was stored, publish it again$/.test(message);
}

/** Asks again until the server answers; if it does not in time, the error says why it did not at last. */
export async function answered<T>(ask: () => Promise<T>, timeout = 10_000): Promise<T> {
  for (const deadline = performance.now() + timeout;; await sleep(2)) {
    try {
      return await ask();
    } catch (error) {
      if (performance.now() > deadline) throw new Error(`Asked for ${timeout} ms in vain: ${error}`, { cause: error });
    }
  }
}
