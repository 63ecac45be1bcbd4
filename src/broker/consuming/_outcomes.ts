import type { DeadReason, DeliveryRef, Outcome } from "../../store/mod.ts";
import { backoff } from "../_backoff.ts";
import { errorRecord } from "./_error_record.ts";
import type { Job } from "./_job.ts";
import { NewerVersionError, PermanentError } from "../errors.ts";
import type { RetryOptions } from "../options.ts";

/** How a job ends, and what it failed with if it did. */
export interface Ending {
  readonly outcome: Outcome;
  readonly error?: unknown;
}

/** The job, as the store knows it. */
export function named({ position, fence }: Job): DeliveryRef {
  return { position, fence };
}

function dead(job: Job, reason: DeadReason, attempts: number, error: unknown): Ending {
  return { outcome: { kind: "dead", reason, attempts, error: errorRecord(error), ...named(job) }, error };
}

/** Given up unread; what a newer release has written waits for a consumer that knows its version, but not for ever. */
export function undecodable(job: Job, error: unknown): Ending {
  if (!(error instanceof NewerVersionError)) return dead(job, "undecodable", 0, error);
  if (job.expired) return dead(job, "version", job.attempt - 1, error);
  return { outcome: { kind: "defer", version: error.version, ...named(job) }, error };
}

/** Given up without another try: its attempts were used up by deaths, or by a consumer that allowed more of them. */
export function usedUp(job: Job): Ending {
  const attempts = job.attempt - 1;
  return job.recovered > 0
    ? dead(job, "died", attempts, new Error(`Its consumer died while handling it alone, attempt ${attempts}`))
    : dead(job, "attempts", attempts, new Error(`It failed ${attempts} times before`));
}

/** What follows from a failed attempt: another one after a while, or none. */
export function failed(job: Job, error: unknown, retry: Required<RetryOptions>): Ending {
  if (error instanceof PermanentError) return dead(job, "permanent", job.attempt, error);
  if (job.attempt >= retry.maxAttempts) return dead(job, "attempts", job.attempt, error);
  const { attempt } = job;
  return { outcome: { kind: "retry", attempt, delay: backoff(retry, attempt), ...named(job) }, error };
}
