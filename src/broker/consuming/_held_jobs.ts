import type { Job } from "./_job.ts";

/** What one consumer has: a list in no order, in which each job knows its place, so that nothing is searched. */
export class Holdings {
  #jobs: Job[] = [];
  #ever = 0;

  add(job: Job): void {
    job.nth = ++this.#ever;
    job.place = this.#jobs.push(job) - 1;
  }

  /** Takes it out, if it is there. */
  remove(job: Job): void {
    if (this.#jobs[job.place] !== job) return;
    const last = this.#jobs.pop()!;
    if (last === job) return;
    this.#jobs[job.place] = last;
    last.place = job.place;
  }

  /** All of them, as they are now. */
  all(): Job[] {
    return [...this.#jobs];
  }

  /** Of those that are for the same entry, all but the newest: the entry came again, so that these were lost before. */
  outdated(): Job[] {
    const newest = new Map<string, Job>();
    for (const job of this.#jobs) {
      const other = newest.get(job.position);
      if (other === undefined || other.nth < job.nth) newest.set(job.position, job);
    }
    return newest.size === this.#jobs.length ? [] : this.#jobs.filter((job) => newest.get(job.position) !== job);
  }

  clear(): void {
    this.#jobs = [];
  }
}
