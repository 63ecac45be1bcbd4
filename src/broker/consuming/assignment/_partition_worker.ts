import { isInstance } from "../../../events/_foreign.ts";
import { WakeUp } from "../../../store/_wake_up.ts";
import { StoreError } from "../../../store/mod.ts";
import { backoff, isTransient, RECONNECT } from "../../_store_retry.ts";

// How often to try to join a partition whose last consumer has not left yet, in milliseconds: often at first, since most
// consumers drain at once.
const OCCUPIED = { minTimeout: 20, maxTimeout: 250, multiplier: 1.5, jitter: 0.5 } as const;

/** Joins and leaves one partition. */
export interface PartitionTasks {
  /** Joins the group in the partition, and begins to deliver from it. */
  join(partition: number): Promise<void>;
  /** Drains the partition, and leaves the group there. Never rejects. */
  leave(partition: number): Promise<void>;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
  /** The partition cannot be joined for another reason. */
  failed(error: unknown): void;
}

/** Follows the plan for one partition: joins it when it is wanted, and leaves it when it is not. */
export class PartitionWorker {
  #partition: number;
  #tasks: PartitionTasks;
  #wanted = false;
  #held = false;
  #working: Promise<void> | undefined;
  #changed = new WakeUp();
  #onTried: (() => void)[] = [];

  constructor(partition: number, tasks: PartitionTasks) {
    this.#partition = partition;
    this.#tasks = tasks;
  }

  get wanted(): boolean {
    return this.#wanted;
  }

  /** Says whether this consumer is to have the partition. */
  want(wanted: boolean): void {
    this.#wanted = wanted;
    this.#changed.wake();
    this.#start();
  }

  /** The partition was lost: another consumer has joined it since. Joins it again if it is still wanted. */
  lost(): void {
    this.#held = false;
    this.#start();
  }

  /** Resolves when the partition was joined, or could not be joined yet because its last consumer has not left. */
  tried(): Promise<void> {
    return this.#working === undefined ? Promise.resolve() : new Promise((resolve) => this.#onTried.push(resolve));
  }

  /** Resolves when there is nothing to do any more. */
  async settled(): Promise<void> {
    while (this.#working !== undefined) await this.#working;
  }

  #start(): void {
    if (this.#working !== undefined || this.#wanted === this.#held) return;
    this.#working = this.#work().finally(() => {
      this.#working = undefined;
      this.#notify();
      this.#start();
    });
  }

  async #work(): Promise<void> {
    for (let attempt = 0; this.#wanted !== this.#held;) {
      if (this.#held) {
        this.#held = false;
        await this.#tasks.leave(this.#partition);
        attempt = 0;
        continue;
      }
      try {
        this.#held = true;
        await this.#tasks.join(this.#partition);
      } catch (error) {
        this.#held = false;
        if (!this.#wanted) return;
        attempt++;
        let delay: number;
        if (isTransient(error)) {
          delay = backoff(RECONNECT, attempt);
          this.#tasks.retrying(error, delay);
        } else if (isOccupied(error)) {
          this.#notify();
          delay = Math.min(backoff(OCCUPIED, attempt), (error.expiresIn ?? Infinity) + 1);
        } else {
          this.#wanted = false;
          return this.#tasks.failed(error);
        }
        await this.#changed.wait(undefined, delay);
      }
    }
  }

  #notify(): void {
    for (const resolve of this.#onTried.splice(0)) resolve();
  }
}

/** Whether another consumer has the partition: the last owner that drains, or one that is dead and has a lease. */
export function isOccupied(error: unknown): error is StoreError {
  return isInstance(error, StoreError) && (error.kind === "occupied" || error.kind === "name-taken");
}
