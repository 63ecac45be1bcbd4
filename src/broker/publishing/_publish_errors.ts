import { reasonOf } from "../../events/_check.ts";
import type { StoreError } from "../../store/mod.ts";
import { BrokerClosedError, ConflictError, PublishTimeoutError, UncertainPublishError } from "../errors.ts";
import type { ExpectedRevision } from "./_expected_revision.ts";

// The way out when the store can no longer be asked for the outcome.
const LOOK_UP = "look for the ids in the history before you publish the events again";

/** The error for events that may or may not be stored, where publishing them again tells the outcome. */
export function uncertain(stream: string, ids: readonly string[], cause: unknown): UncertainPublishError {
  const wayOut = "publish the same object again to find out; after a restart of the process, look for the ids in the " +
    "history, or publish events with the same ids if all handlers are idempotent by id";
  return uncertainError(stream, ids, cause, "no reply came in time", wayOut);
}

/** The error for events that may or may not be stored, where the store has forgotten the producer and cannot tell. */
export function forgotten(stream: string, ids: readonly string[], cause: unknown): UncertainPublishError {
  return uncertainError(stream, ids, cause, "no reply came in time", LOOK_UP);
}

/** The error for events that may or may not be stored when the broker closes. */
export function uncertainAtClose(stream: string, ids: readonly string[], cause: unknown): UncertainPublishError {
  return uncertainError(stream, ids, cause, "the broker closed before the reply came", LOOK_UP);
}

function uncertainError(
  stream: string,
  ids: readonly string[],
  cause: unknown,
  defaultReason: string,
  wayOut: string,
): UncertainPublishError {
  const why = cause === undefined ? defaultReason : reasonOf(cause);
  const events = ids.length === 1 ? `event ${ids[0]}` : `${ids.length} events, the first with id ${ids[0]}`;
  return new UncertainPublishError(`Cannot tell whether ${stream} has ${events}: ${why}; ${wayOut}`, ids, { cause });
}

/** The error for events whose subject does not have the expected revision. */
export function conflict(stream: string, expected: ExpectedRevision, cause: StoreError): ConflictError {
  const { subject, revision } = expected;
  const found = cause.revision ?? 0;
  return new ConflictError(
    `Cannot publish to ${stream}: ${JSON.stringify(subject)} ${
      found === 0 ? "has no event" : `has revision ${found}`
    }, ` +
      `and ${revision === 0 ? "none" : revision} was expected; read its history, decide again, and publish`,
    { subject, expected: revision === 0 ? "none" : revision, revision: found, cause },
  );
}

/** The error for events that certainly are not stored when `publishTimeout` is over. */
export function timedOut(stream: string, cause: unknown): PublishTimeoutError {
  const why = cause === undefined ? "the store could not be reached" : reasonOf(cause);
  return new PublishTimeoutError(
    `Cannot publish to ${stream} in time: ${why}; nothing was stored, publish it again`,
    { cause },
  );
}

/** The error for events that certainly are not stored when the broker closes. */
export function closedBefore(stream: string, cause?: unknown): BrokerClosedError {
  return new BrokerClosedError(
    `Cannot publish to ${stream}: the broker closed before the event was sent; nothing was stored, publish it on ` +
      `another broker`,
    cause === undefined ? undefined : { cause },
  );
}
