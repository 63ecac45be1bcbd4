import { type ClaimedRecord, comparePositions, type Position } from "../../../store/mod.ts";
import type { Barrier } from "../../partitions/_barrier.ts";
import type { Job } from "../jobs/_job.ts";

/** The part of a stream consumer whose jobs are held back. */
export interface HeldBackOptions {
  readonly barrier: Barrier;
  /** The stream in the store. */
  readonly stream: string;
  /** Aborts when the consumer reads no more. */
  readonly signal: AbortSignal;
  /** Takes jobs that may start, in order. */
  pass(jobs: readonly Job[]): void;
  /** Releases jobs to the group. */
  release(jobs: readonly Job[]): void;
  /** Whether the consumer has no room for another claim, and all that it has is this many jobs. */
  isFullOf(jobs: number): boolean;
}

/** Makes the place for jobs that a barrier holds back. */
export type HoldBack = (options: Omit<HeldBackOptions, "barrier">) => HeldBack;

/** The jobs of a stream consumer that a barrier holds back while the number of partitions changes. */
export class HeldBack {
  #options: HeldBackOptions;
  #jobs: Job[] = [];
  #lastClaimed: Position | undefined;
  #waits = false;
  #released: Promise<unknown> | undefined;

  constructor(options: HeldBackOptions) {
    this.#options = options;
  }

  /** Set while the store does not have all releases yet. A claim before that would take entries behind them. */
  get released(): Promise<unknown> | undefined {
    return this.#released;
  }

  /** Notes a claim. After a rewind the group may have older entries to settle again. */
  claimed(records: readonly ClaimedRecord[], disturbed: boolean): void {
    if (this.#goesBack(records) || disturbed) this.#options.barrier.reset();
  }

  /** Whether there are entries before those of earlier claims. */
  #goesBack(records: readonly ClaimedRecord[]): boolean {
    if (records.length === 0) return false;
    const [first, last] = [records[0]!.position, records.at(-1)!.position];
    const known = this.#lastClaimed;
    const back = known !== undefined && comparePositions(first, known) <= 0;
    if (back || known === undefined || comparePositions(last, known) > 0) this.#lastClaimed = last;
    return back;
  }

  /** Takes new jobs, in order. */
  admit(jobs: readonly Job[]): void {
    this.#passOpen(jobs);
    if (this.#jobs.length > 0 && !this.#waits) void this.#untilOpen();
  }

  /** Passes what the barrier lets through. Jobs that it held back come first, so that no later job overtakes them. */
  #passOpen(jobs: readonly Job[] = []): void {
    const { barrier, stream, pass } = this.#options;
    const open: Job[] = [];
    for (const job of [...this.#takeWaiting(), ...jobs]) {
      (barrier.isOpen(stream, job.position) ? open : this.#jobs).push(job);
    }
    if (open.length > 0) pass(open);
  }

  /** Without those that were lost or released meanwhile. */
  #takeWaiting(): Job[] {
    return this.#jobs.splice(0).filter(({ state }) => state === "waiting");
  }

  async #untilOpen(): Promise<void> {
    const { barrier, stream, signal, isFullOf } = this.#options;
    this.#waits = true;
    while (this.#jobs.length > 0 && !signal.aborted) {
      await barrier.update();
      this.#passOpen();
      // The older entries that the barrier waits for may be claimed here only if there is room for them.
      if (isFullOf(this.#jobs.length) && barrier.waitsFor(stream)) await this.#release();
    }
    this.#waits = false;
  }

  #release(): Promise<unknown> {
    const jobs = this.#takeWaiting();
    const released = Promise.all(jobs.map((job) => new Promise((resolve) => job.onSettled(resolve))));
    this.#released = released.finally(() => this.#released = undefined);
    this.#options.release(jobs);
    return released;
  }
}
