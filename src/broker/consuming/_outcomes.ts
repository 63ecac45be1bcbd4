import { isInstance } from "../../events/_foreign.ts";
import type { DeadReason, DeliveryRef, Outcome } from "../../store/mod.ts";
import { backoff } from "../_store_retry.ts";
import { NewerVersionError, PermanentError } from "../errors.ts";
import type { RetryOptions } from "../options.ts";
import { errorRecord } from "./_error_record.ts";
import type { Job } from "./_job.ts";

/** The job, as the store knows it. */
export function refOf({ position, fence }: Job): DeliveryRef {
  return { position, fence };
}

function dead(job: Job, reason: DeadReason, attempts: number, error: unknown): Outcome {
  return { kind: "dead", reason, attempts, error: errorRecord(error), ...refOf(job) };
}

/** An entry that cannot be decoded is dead; one of a newer version is deferred, until `deferTimeout` is over. */
export function undecodable(job: Job, error: unknown): Outcome {
  if (!(error instanceof NewerVersionError)) return dead(job, "undecodable", 0, error);
  if (job.expired) return dead(job, "version", job.attempt - 1, error);
  return { kind: "defer", version: error.version, ...refOf(job) };
}

/** Dead without another attempt: deaths used its attempts up, or a consumer with a higher `maxAttempts` did. */
export function usedUp(job: Job): { readonly outcome: Outcome; readonly error: Error } {
  const attempts = job.attempt - 1;
  const [reason, message] = job.recovered > 0
    ? ["died", `Its consumer died while handling it exclusively, attempt ${attempts}`] as const
    : ["attempts", `It failed ${attempts} times before`] as const;
  const error = new Error(message);
  return { outcome: dead(job, reason, attempts, error), error };
}

/**
 * The outcome of a failed attempt: a retry, or a dead letter.
 *
 * @param delay When to retry, in milliseconds, instead of the delay of the policy.
 */
export function failed(job: Job, error: unknown, retry: Required<RetryOptions>, delay?: number): Outcome {
  const { attempt } = job;
  if (isInstance(error, PermanentError)) return dead(job, "permanent", attempt, error);
  if (attempt >= retry.maxAttempts) return dead(job, "attempts", attempt, error);
  return { kind: "retry", attempt, delay: delay ?? backoff(retry, attempt), ...refOf(job) };
}
