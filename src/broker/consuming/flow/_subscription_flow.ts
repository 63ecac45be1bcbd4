import { PauseEvent, ResumeEvent } from "../../lifecycle_events.ts";
import { reasonOf } from "../../../events/_check.ts";
import { sleep } from "../../_store_retry.ts";
import type { RateLimit } from "../../../store/mod.ts";
import type { Breaker } from "./_breaker.ts";
import type { RatedJob, RateGate } from "./_rate_gate.ts";
import type { Pause } from "./_pausing.ts";

// The most characters of an error that the reason of a pause shows.
const MOST_CHARACTERS = 500;
// For how long at most this process pauses alone if the store cannot be reached, in milliseconds.
const FALLBACK = 5_000;

/** A consumer of a subscription, for one stream or partition. */
export interface FlowConsumer {
  /** The stream that it is a partition of; the same as its stream without partitions. */
  readonly logical: string;
  /** The name of the stream. */
  readonly eventType: string;
  pauseHere(paused: boolean): void;
  expectPause(pause: Pause | undefined): void;
  checkControl(): Promise<void>;
}

/** The subscription of a flow. */
export interface FlowOptions<J extends RatedJob> {
  readonly group: string;
  /** When failures in a row pause the group. */
  readonly pauseAfter: { readonly failures: number; readonly for: number } | undefined;
  /** Given if they do. */
  readonly Breaker: typeof Breaker | undefined;
  /** Aborts when the subscription begins to close. */
  readonly closing: AbortSignal;
  /** The consumers that it has now. */
  consumers(): readonly FlowConsumer[];
  /** Pauses the group for so many milliseconds. */
  pauseGroup(stream: string, reason: string, duration: number): Promise<void>;
  /** Makes the gate of a stream. */
  gate(stream: string): Promise<RateGate<J>>;
  /** Dispatches an event on the subscription. */
  tell(event: Event): void;
  /** Dispatches an event on the broker. */
  tellBroker(event: Event): void;
  /** The store could not be reached. */
  retrying(error: unknown): void;
}

/** Whether a subscription is paused, by stream. */
export class SubscriptionFlow<J extends RatedJob> {
  #options: FlowOptions<J>;
  #own = false;
  #gates = new Map<string, RateGate<J>>();
  /** The pauses that were told, by stream. */
  #told = new Map<string, Pause>();
  #breakers = new Map<string, Breaker>();
  /** By stream, until when its handlers are not allowed to do more, by `performance.now()`. */
  #throttled = new Map<string, number>();

  constructor(options: FlowOptions<J>) {
    this.#options = options;
  }

  /** Pauses or resumes this subscription alone. */
  pauseHere(paused: boolean): void {
    this.#own = paused;
    for (const consumer of this.#options.consumers()) consumer.pauseHere(paused);
  }

  /** The subscription has one more consumer. */
  joined(consumer: FlowConsumer): void {
    if (this.#own) consumer.pauseHere(true);
  }

  /** Has the consumers of a stream read the control of the group now. */
  async check(stream: string): Promise<void> {
    await Promise.all(this.#of(stream).map((consumer) => consumer.checkControl()));
  }

  #of(stream: string): FlowConsumer[] {
    return this.#options.consumers().filter(({ logical }) => logical === stream);
  }

  /** A consumer has paused, or goes on. Tells it once for all partitions of a stream. */
  changed({ logical, eventType }: Pick<FlowConsumer, "logical" | "eventType">, pause: Pause | undefined): void {
    if (pause?.expected) return;
    const before = this.#told.get(logical);
    const { group, tell, tellBroker } = this.#options;
    if (pause !== undefined) {
      if (before?.scope === pause.scope && before.since.getTime() === pause.since.getTime()) return;
      this.#told.set(logical, pause);
      for (const dispatch of [tell, tellBroker]) dispatch(new PauseEvent(group, eventType, pause));
    } else if (before !== undefined) {
      this.#told.delete(logical);
      for (const dispatch of [tell, tellBroker]) dispatch(new ResumeEvent(group, eventType, before.scope));
    }
  }

  /** What counts the failures of a stream; undefined if none pause it. */
  breakerOf(stream: string): Breaker | undefined {
    const { pauseAfter, Breaker } = this.#options;
    if (pauseAfter === undefined || Breaker === undefined) return undefined;
    let breaker = this.#breakers.get(stream);
    if (breaker === undefined) {
      const pause = (reason: string, duration: number) => this.#trip(stream, reason, duration);
      this.#breakers.set(stream, breaker = new Breaker({ ...pauseAfter, pause }));
    }
    return breaker;
  }

  /** Keeps jobs of a stream until they may start; undefined without a limit. */
  gateOf(stream: string): RateGate<J> | undefined {
    return this.#gates.get(stream);
  }

  /** Limits a stream by the option of the subscription. */
  async limit(stream: string): Promise<void> {
    const { gate } = this.#options;
    if (!this.#gates.has(stream)) this.#gates.set(stream, await gate(stream));
  }

  /** The group has this limit from now on. */
  async limited(stream: string, rate: RateLimit | undefined): Promise<void> {
    await this.limit(stream);
    this.#gates.get(stream)!.own = rate;
  }

  /** A handler may do no more for so many milliseconds: the group pauses. Of several handlers, the longest time counts. */
  throttle(stream: string, error: unknown, duration: number): void {
    const end = performance.now() + duration;
    // Handlers that run at once are usually refused at once.
    if (end <= (this.#throttled.get(stream) ?? 0)) return;
    this.#throttled.set(stream, end);
    void this.#trip(stream, `rate limited: ${reasonOf(error)}`.slice(0, MOST_CHARACTERS), duration);
  }

  /** Pauses the group. No handler starts here meanwhile. */
  async #trip(stream: string, reason: string, duration: number): Promise<void> {
    const { pauseGroup, retrying, closing } = this.#options;
    const now = Date.now();
    const until = new Date(now + duration);
    const expected: Pause = { scope: "group", since: new Date(now), until, reason, expected: true };
    const consumers = this.#of(stream);
    for (const consumer of consumers) consumer.expectPause(expected);
    try {
      await pauseGroup(stream, reason, duration);
      await Promise.all(consumers.map((consumer) => consumer.checkControl()));
    } catch (error) {
      retrying(error);
      // Trying again at once would do harm.
      await sleep(Math.min(duration, FALLBACK), closing);
    }
    for (const consumer of consumers) consumer.expectPause(undefined);
  }
}
