import type { Job } from "./_job.ts";

/** The deliveries that the store has given to one consumer. Adding and removing take constant time; there is no order. */
export class HeldJobs {
  #jobs: Job[] = [];

  add(job: Job): void {
    job.moveTo(this.#jobs.push(job) - 1);
  }

  /** Removes the job, if it is there. */
  remove(job: Job): void {
    if (this.#jobs[job.slot] !== job) return;
    const last = this.#jobs.pop()!;
    if (last === job) return;
    this.#jobs[job.slot] = last;
    last.moveTo(job.slot);
  }

  /** A copy of the list. */
  all(): Job[] {
    return [...this.#jobs];
  }

  /** Jobs superseded by a newer delivery of the same entry: they were lost before the entry was delivered again. */
  superseded(): Job[] {
    const newest = new Map<string, Job>();
    for (const job of this.#jobs) {
      const other = newest.get(job.position);
      if (other === undefined || other.sequence < job.sequence) newest.set(job.position, job);
    }
    return newest.size === this.#jobs.length ? [] : this.#jobs.filter((job) => newest.get(job.position) !== job);
  }

  clear(): void {
    this.#jobs = [];
  }
}
