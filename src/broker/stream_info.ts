import type { DeadReason, ErrorRecord, GroupState, Position } from "../store/mod.ts";
import type { DomainEvent } from "../events/mod.ts";

/** A consumer group of one stream. */
export interface GroupInfo extends Omit<GroupState, "floor" | "oldestDeadLetter"> {
  /** Publication time of the oldest event that the group has not read or not settled; undefined when there is none. */
  readonly oldestUnsettled: Date | undefined;
  /** When the last attempt of the group's oldest dead letter failed; undefined when there is none. */
  readonly oldestDeadLetter: Date | undefined;
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
