import { unknownGroup } from "../../store/_groups.ts";
import { Bell } from "../../store/_bell.ts";
import type { EventStore, GroupState } from "../../store/mod.ts";
import { backoff, isTransient, RECONNECT, sleep } from "../_store_retry.ts";

// Other processes settle without a word to this one: the store is asked again after so many milliseconds.
const INTERVAL = 250;
// However fast deliveries settle here, the store is not asked more often than this, in milliseconds.
const MIN_INTERVAL = 20;

interface IdleWait {
  readonly streams: readonly string[];
  /** One group; undefined for every group of these streams. */
  readonly group: string | undefined;
  readonly signal: AbortSignal;
}

/** Waits until groups have caught up. */
export class IdleWaits {
  #store: EventStore;
  #retrying: (error: unknown, delay: number) => void;
  #settled = new Bell();

  constructor(store: EventStore, retrying: (error: unknown, delay: number) => void) {
    this.#store = store;
    this.#retrying = retrying;
  }

  /** Deliveries were settled by this process. */
  noted(): void {
    this.#settled.ring();
  }

  async wait({ streams, group, signal }: IdleWait): Promise<void> {
    for (let failures = 0;;) {
      signal.throwIfAborted();
      try {
        if (await this.#idle(streams, group)) return signal.throwIfAborted();
        failures = 0;
      } catch (error) {
        if (!isTransient(error)) throw error;
        const delay = backoff(RECONNECT, ++failures);
        this.#retrying(error, delay);
        await sleep(delay, signal);
        continue;
      }
      const woken = this.#settled.wait(signal, INTERVAL);
      await sleep(MIN_INTERVAL, signal);
      await woken;
    }
  }

  async #idle(streams: readonly string[], group: string | undefined): Promise<boolean> {
    const states = await Promise.all(streams.map((stream) => this.#store.admin(stream).info()));
    const groups = states.flatMap((state) => state.groups);
    const wanted = group === undefined ? groups : groups.filter(({ name }) => name === group);
    if (group !== undefined && wanted.length === 0) {
      throw unknownGroup(group, streams.join(", "), [...new Set(groups.map(({ name }) => name))]);
    }
    return wanted.every(isIdle);
  }
}

// A deferred delivery waits for a consumer of a newer release: no consumer that runs now has work with it.
function isIdle({ lag, pending, deferred }: GroupState): boolean {
  return lag === 0 && pending === deferred.reduce((sum, { pending }) => sum + pending, 0);
}
