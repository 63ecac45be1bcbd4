import { UncertainPublishError } from "@tidings/broker";

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
