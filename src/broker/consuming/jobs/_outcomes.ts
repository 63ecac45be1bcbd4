import { reasonOf } from "../../../events/_check.ts";
import { isErrorLike, isInstance, readProperty, readText } from "../../../events/_foreign.ts";
import { type DomainEvent, ValidationError } from "../../../events/mod.ts";
import type { DeadReason, DeliveryRef, ErrorRecord, Outcome } from "../../../store/mod.ts";
import { MAX_WAITING } from "../../../store/mod.ts";
import { backoff } from "../../_store_retry.ts";
import { isPermanent, NewerVersionError } from "../../errors.ts";
import type { RetryOptions } from "../../options.ts";
import type { Job } from "./_job.ts";

// A long array may be invalid in every element: the first issues are enough.
const MAX_ISSUES = 100;
const MAX_MESSAGE = 1_000;

/** The reference by which the store knows the job. */
export function refOf({ position, fence }: Job): DeliveryRef {
  return { position, fence };
}

function dead(job: Job, reason: DeadReason, attempts: number, error: unknown): Extract<Outcome, { kind: "dead" }> {
  const held = job.source.heldKeys !== undefined && job.key !== undefined ? { key: job.key } : {};
  return { kind: "dead", reason, attempts, error: errorRecord(error), ...held, ...refOf(job) };
}

/** The outcome for an undecodable entry: a dead letter, or for a newer version a deferral until `deferTimeout` is over. */
export function undecodable(job: Job, error: unknown): Outcome {
  if (!(error instanceof NewerVersionError)) return dead(job, "undecodable", 0, error);
  if (job.expired) return dead(job, "version", job.attempt - 1, error);
  return { kind: "defer", version: job.source.versionFor(job.eventType, error.version), ...refOf(job) };
}

/** The outcome for a job without attempts left: its consumers died, or another consumer has a higher `maxAttempts`. */
export function usedUp(job: Job): { readonly outcome: Outcome; readonly error: Error } {
  const attempts = job.attempt - 1;
  const [reason, message] = job.recovered > 0
    ? ["died", `Its consumer died while handling it exclusively, attempt ${attempts}`] as const
    : ["attempts", `It failed ${attempts} times before`] as const;
  const error = new Error(message);
  return { outcome: dead(job, reason, attempts, error), error };
}

/** The outcome for a job whose event is not to be handled any more. */
export function expired(
  job: Job,
  whenExpired: "skip" | "dead-letter",
): { readonly outcome: Outcome; readonly error: Error } {
  const { expires } = job.content as DomainEvent;
  const error = new Error(`It has expired at ${expires!.toISOString()}, before a handler began`);
  if (whenExpired === "skip") return { outcome: { kind: "expire", ...refOf(job) }, error };
  return { outcome: dead(job, "expired", job.attempt - 1, error), error };
}

/** The outcome for a job that would have to wait behind a dead letter of its key, though too many wait. */
export function cannotWait(job: Job): { readonly outcome: Outcome; readonly error: Error } {
  const error = new Error(
    `Cannot have ${job.eventType} at ${job.position} wait for its key: ${MAX_WAITING} events of the group wait already; ` +
      `redrive or discard dead letters`,
  );
  return { outcome: dead(job, "held", job.attempt - 1, error), error };
}

/**
 * The outcome of a failed attempt: a retry, or a dead letter.
 *
 * @param delay When to retry, in milliseconds, instead of the delay of the policy.
 */
export function failed(
  job: Job,
  error: unknown,
  retry: Required<RetryOptions>,
  delay?: number,
): Extract<Outcome, { kind: "retry" | "dead" }> {
  const { attempt } = job;
  if (isPermanent(error)) return dead(job, "permanent", attempt, error);
  if (attempt >= retry.maxAttempts) return dead(job, "attempts", attempt, error);
  return { kind: "retry", attempt, delay: delay ?? backoff(retry, attempt), ...refOf(job) };
}

/** The part of a thrown value that a dead letter keeps. Never throws, whatever the value. */
export function errorRecord(error: unknown): ErrorRecord {
  if (!isErrorLike(error)) return { name: "Error", message: reasonOf(error) };
  const stack = readText(error, "stack");
  const refusal = [error, readProperty(error, "cause")].find((it) => isInstance(it, ValidationError));
  const issues = refusal && issuesOf(refusal);
  return {
    name: readText(error, "name") ?? "Error",
    message: readText(error, "message") ?? "",
    ...(stack !== undefined && { stack }),
    ...(issues !== undefined && { issues }),
  };
}

/** The issues of an error; undefined if they cannot be read, because a handler may throw a ValidationError of its own making. */
function issuesOf(error: ValidationError): ErrorRecord["issues"] {
  const text = (value: unknown) => String(value).slice(0, MAX_MESSAGE);
  try {
    return Array.from(
      error.issues.slice(0, MAX_ISSUES),
      ({ path, message }) => ({ path: text(path), message: text(message) }),
    );
  } catch {
    return undefined;
  }
}
