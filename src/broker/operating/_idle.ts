import { checkKeys, checkSignal } from "../../events/_check.ts";
import { assertName } from "../../events/_names.ts";
import { WakeUp } from "../../store/_wake_up.ts";
import { unknownGroup } from "../../store/_groups.ts";
import type { GroupState } from "../../store/mod.ts";
import type { HandledDelivery } from "../_causation.ts";
import { backoff, eitherSignal, isTransient, RECONNECT, sleep, unlessAborted } from "../_store_retry.ts";
import { parseControl } from "../consuming/flow/_control.ts";
import type { WholeAdmin } from "../partitions/_whole_admin.ts";
import type { IdleOptions } from "../options.ts";

// Other processes do not tell this one that they have settled deliveries: the store is asked this often, in milliseconds.
const INTERVAL = 250;
// However fast deliveries settle here, the store is asked no sooner than this, in milliseconds.
const MIN_INTERVAL = 20;

/** The part of a broker that waits for idle groups use. */
export interface IdleWaitsOptions {
  /** The operations on a stream and all its partitions. */
  admin(stream: string): Promise<WholeAdmin>;
  /** Aborts when the broker begins to close, which ends the waits. */
  readonly closing: AbortSignal;
  /** The groups for which the broker reads a stream. */
  groupsOf(stream: string): readonly string[];
  /** The delivery of the broker whose handler contains the caller. */
  enclosing(): HandledDelivery | undefined;
  /** The store could not be reached; the next try comes after `delay` milliseconds. */
  retrying(error: unknown, delay: number): void;
}

/** Waits until groups have caught up. */
export class IdleWaits {
  #options: IdleWaitsOptions;
  #settled = new WakeUp();
  /** How often {@linkcode noted} was called. */
  #notes = 0;

  constructor(options: IdleWaitsOptions) {
    this.#options = options;
  }

  /** Deliveries were settled by this process. */
  noted(): void {
    this.#notes++;
    this.#settled.wake();
  }

  /** Resolves when the group, or every group, has caught up with these streams. */
  async wait(streams: readonly string[], options: IdleOptions): Promise<void> {
    checkKeys("wait until groups are idle", options, ["group", "signal"]);
    const { group } = options;
    checkSignal(options.signal);
    if (group !== undefined) assertName("group", group);
    this.#assertOutside(streams, group);
    const { closing, retrying } = this.#options;
    const signal = eitherSignal(options.signal, closing);
    for (let failures = 0;;) {
      signal.throwIfAborted();
      const notes = this.#notes;
      try {
        if (await unlessAborted(this.#idle(streams, group), signal)) return;
        failures = 0;
      } catch (error) {
        if (signal.aborted || !isTransient(error)) throw error;
        const delay = backoff(RECONNECT, ++failures);
        retrying(error, delay);
        await sleep(delay, signal);
        continue;
      }
      // If a delivery was settled while the store was asked, the answer may be older: ask again soon.
      const woken = notes === this.#notes ? this.#settled.wait(signal, INTERVAL) : undefined;
      await sleep(MIN_INTERVAL, signal);
      await woken;
    }
  }

  // The event of a handler is not settled before the handler ends: waiting inside would never end.
  #assertOutside(streams: readonly string[], group: string | undefined): void {
    const own = this.#options.enclosing()?.source;
    if (own === undefined || group !== undefined && group !== own.group) return;
    if (!streams.includes(own.logical)) return;
    throw new TypeError(
      `Cannot wait in a handler of group "${own.group}" until that group is idle: the event of the handler is not ` +
        `settled before the handler has ended; return from the handler, and wait outside of it`,
    );
  }

  async #idle(streams: readonly string[], group: string | undefined): Promise<boolean> {
    const states = await Promise.all(streams.map(async (stream) => (await this.#options.admin(stream)).info()));
    // A group that another program has deleted, and that a subscription of this broker is about to make again.
    const isLost = streams.some((stream, nth) =>
      this.#options.groupsOf(stream).some((own) =>
        (group === undefined || own === group) && !states[nth]!.groups.some(({ name }) => name === own)
      )
    );
    if (isLost) return false;
    const groups = states.flatMap((state) => state.groups);
    const wanted = group === undefined ? groups : groups.filter(({ name }) => name === group);
    if (group !== undefined && wanted.length === 0) {
      throw unknownGroup(group, streams.join(", "), [...new Set(groups.map(({ name }) => name))]);
    }
    return wanted.every(isIdle);
  }
}

// A deferred delivery waits for a consumer of a newer release, one behind a dead letter for an operator: no consumer that
// runs now can handle it.
// A paused group waits for an operator, too, once the handlers that ran have ended. A pause with an end is a delay.
function isIdle({ lag, pending, deferred, held, control, consumers }: GroupState): boolean {
  if (control !== undefined && isPaused(control)) {
    return consumers.every(({ alive, pending }) => !alive || pending === 0);
  }
  return lag === 0 && pending === deferred.reduce((sum, { pending }) => sum + pending, held.waiting);
}

function isPaused(control: string): boolean {
  const { paused } = parseControl(control);
  return paused !== undefined && paused.until === undefined;
}
