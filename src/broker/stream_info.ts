import type { ConsumerState, DeadReason, DeferredState, ErrorRecord, Position } from "../store/mod.ts";
import type { DomainEvent } from "../events/mod.ts";

/** A consumer group of one stream. */
export interface GroupInfo {
  /** Its name. */
  readonly name: string;
  /** Events that were delivered or parked, and are not settled: retries, what was handed back, held and redriven ones. */
  readonly pending: number;
  /** Those of them that wait for their next attempt. */
  readonly retrying: number;
  /** Those of them that wait for a consumer that knows their version: how many of each, the lowest version first. */
  readonly deferred: readonly DeferredState[];
  /** Events that it gave up. */
  readonly deadLetters: number;
  /** Events that it has not read yet. */
  readonly lag: number;
  /** False when `lag` is a lower bound, because counting further would cost too much. */
  readonly lagIsExact: boolean;
  /** When the oldest event was published that it has not read or not settled; undefined when it is through. */
  readonly oldestUnsettled: Date | undefined;
  /** Its consumers: what each holds, whether its lease is running, and whether what it holds fills it. */
  readonly consumers: readonly ConsumerState[];
}

/** A stream and its groups at one moment. */
export interface StreamInfo {
  /** The type of its events. */
  readonly type: string;
  /** How many events it holds. */
  readonly length: number;
  /** Where its oldest event stands. */
  readonly first: Position | undefined;
  /** The last position ever given, also when that event is gone. */
  readonly last: Position | undefined;
  /** The group that keeps overdue events from being removed, the one furthest behind. */
  readonly pinnedBy: string | undefined;
  /** Its consumer groups. */
  readonly groups: readonly GroupInfo[];
}

/** An event that a group gave up. */
export interface DeadLetter<E extends DomainEvent = DomainEvent> {
  /** Names the letter in its group: what `redrive` takes. */
  readonly id: string;
  /** Where the event stands in its stream. */
  readonly position: Position;
  /**
   * Why it was given up: its `attempts` used up, a `permanent` error, `undecodable`, its consumers `died` of it,
   * or no consumer knew its `version` within `deferTimeout`.
   */
  readonly reason: DeadReason;
  /** How many attempts were counted. */
  readonly attempts: number;
  /** When the first attempt failed. */
  readonly firstFailedAt: Date;
  /** When the last attempt failed. */
  readonly lastFailedAt: Date;
  /** Who gave it up, by its name in the store. */
  readonly consumer: string;
  /** What the last attempt failed with. */
  readonly error: ErrorRecord;
  /** The event; undefined when it cannot be decoded. */
  readonly event: E | undefined;
  /**
   * Why it cannot be decoded: an `UndecodableError`, or what a schema or the keys could not be asked for just now. Left
   * out of `toJSON` and when inspected.
   */
  readonly undecodable: Error | undefined;
  /** The entry's fields as they were found, sensitive ones included. Left out of `toJSON` and when inspected. */
  readonly raw: Readonly<Record<string, string>>;
}
