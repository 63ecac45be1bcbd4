import { reasonOf } from "../../events/_check.ts";
import { BrokerClosedError, PublishTimeoutError, UncertainPublishError } from "../errors.ts";

/** The error for events that may or may not be stored. With `forgotten`, the store cannot tell any more. */
export function uncertain(
  stream: string,
  ids: readonly string[],
  cause: unknown,
  forgotten = false,
): UncertainPublishError {
  const why = cause === undefined ? "no reply came in time" : reasonOf(cause);
  const events = ids.length === 1 ? `event ${ids[0]}` : `${ids.length} events, the first with id ${ids[0]}`;
  const wayOut = forgotten
    ? "look for the ids in the history before you publish again"
    : "publish the same object again to find out; after a restart of the process, look for the ids in the history, or " +
      "publish events with the same ids if all handlers are idempotent by id";
  return new UncertainPublishError(`Cannot tell whether ${stream} has ${events}: ${why}; ${wayOut}`, ids, { cause });
}

/** The error for events that are certainly not stored when `publishTimeout` is over. */
export function timedOut(stream: string, cause: unknown): PublishTimeoutError {
  const why = cause === undefined ? "the store could not be reached" : reasonOf(cause);
  return new PublishTimeoutError(
    `Cannot publish to ${stream} in time: ${why}; nothing was stored, publish it again`,
    { cause },
  );
}

/** The error for events that are certainly not stored when the broker closes. */
export function closedBefore(stream: string, cause?: unknown): BrokerClosedError {
  return new BrokerClosedError(
    `Cannot publish to ${stream}: the broker closed before the store had the event; nothing was stored`,
    cause === undefined ? undefined : { cause },
  );
}
