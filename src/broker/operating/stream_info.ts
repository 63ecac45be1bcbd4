import type { DeadReason, ErrorRecord, GroupState, Position, RateLimit } from "../../store/mod.ts";
import type { DomainEvent } from "../../events/mod.ts";
import type { MissedTicks } from "../options.ts";

/** The pause of a group. */
export interface PauseInfo {
  /** Since when, by the clock of the store. */
  readonly since: Date;
  /** When it ends by itself; undefined if it lasts until `resume`. */
  readonly until: Date | undefined;
  /** The reason that was given. */
  readonly reason: string | undefined;
}

/** A consumer group of one stream. */
export interface GroupInfo extends Omit<GroupState, "floor" | "types" | "oldestDeadLetter" | "control"> {
  /** Set while the group is paused; of a stream with partitions, while it is paused in one of them. */
  readonly paused: PauseInfo | undefined;
  /** The limit that `setRate` has given it; undefined without one. */
  readonly rate: RateLimit | undefined;
  /** The event types that it is for. Entries of other types are settled unseen, and counted as `skipped`. */
  readonly types: readonly string[];
  /** Publication time of the oldest event that the group has not read or not settled; undefined when there is none. */
  readonly oldestUnsettled: Date | undefined;
  /** When the last attempt of the group's oldest dead letter failed; undefined when there is none. */
  readonly oldestDeadLetter: Date | undefined;
  /** How far it is in each partition that it reads; left out for a stream without partitions. */
  readonly partitions?: readonly PartitionProgress[];
}

/** How far a group is in one partition. */
export interface PartitionProgress extends Pick<PartitionInfo, "partition" | "stream"> {
  /**
   * The name of the consumer that reads the partition; undefined when there is none, or when several consumers share the
   * partition.
   */
  readonly owner: string | undefined;
  /** How many events the group has not read. */
  readonly lag: number;
  /** Whether `lag` is exact; otherwise there are at least so many. */
  readonly lagIsExact: boolean;
  /** How many events the group has read and not settled. */
  readonly pending: number;
  /** Publication time of the oldest event that the group has not read or not settled; undefined when there is none. */
  readonly oldestUnsettled: Date | undefined;
}

/** One partition of a stream at one moment. */
export interface PartitionInfo extends Pick<StreamInfo, "length" | "bytes" | "first" | "last" | "pinnedBy" | "groups"> {
  /**
   * The number of the partition, from 0. Undefined for the stream itself, with the events from before it had partitions.
   */
  readonly partition: number | undefined;
  /** The stream in the store: `<prefix>:<stream>#<partition>`. */
  readonly stream: string;
}

/** A schedule, as all brokers over the store have it. */
export interface ScheduleInfo {
  /** Its name. */
  readonly name: string;
  /** Its cron pattern; left out for one with a period. */
  readonly cron?: string | undefined;
  /** The time zone of its pattern. */
  readonly timezone?: string | undefined;
  /** Its period in milliseconds; left out for one with a pattern. */
  readonly every?: number | undefined;
  /** What it does with missed ticks. */
  readonly missed: MissedTicks;
  /** How many ticks it has published since it was defined or changed. */
  readonly published: number;
  /** Its last tick; undefined before the first one. */
  readonly last: Date | undefined;
  /** Its next tick; undefined if none comes. */
  readonly next: Date | undefined;
}

/** The scheduled events of a stream at one moment. */
export interface ScheduledInfo {
  /** How many events wait for their time. */
  readonly waiting: number;
  /** When the first of them is due; undefined when none waits. */
  readonly next: Date | undefined;
}

/** A stream and its groups at one moment. Of a stream with partitions, numbers are sums over all of them. */
export interface StreamInfo {
  /** The event type that was asked for. */
  readonly type: string;
  /** The name of the stream: the type, unless the class shares a stream with others. */
  readonly stream: string;
  /** How many events the stream holds. */
  readonly length: number;
  /**
   * How many bytes the stream takes, as the store measures them. In memory and in SQLite it is the length of the names and
   * values of its entries. On Redis it is the memory of the stream with its groups; of a stream with many events it is an
   * estimate by the oldest of them. Undefined when this user may not know.
   */
  readonly bytes: number | undefined;
  /** The position of its oldest event; undefined when it is empty. */
  readonly first: Position | undefined;
  /** The last position that was given, also after that event was removed; undefined when there never was an event. */
  readonly last: Position | undefined;
  /** Events that were published with `delay` or `at`, and are not in the stream yet. */
  readonly scheduled: ScheduledInfo;
  /** The slowest group, when retention cannot remove overdue events because that group has not settled them. */
  readonly pinnedBy: string | undefined;
  /** Its consumer groups. */
  readonly groups: readonly GroupInfo[];
  /** Its partitions, also those from before their number changed; left out for a stream without partitions. */
  readonly partitions?: readonly PartitionInfo[];
}

/** An event that a group could not handle. */
export interface DeadLetter<E extends DomainEvent = DomainEvent> {
  /** Identifies the letter in its group, for `redrive` and `discardDeadLetters`. */
  readonly id: string;
  /** The position of the event in its stream. */
  readonly position: Position;
  /**
   * Why it became a dead letter. `attempts`: all attempts failed. `permanent`: a handler threw a `PermanentError`.
   * `undecodable`: the entry is no event of its class. `died`: its consumers died while they handled it. `version`: no
   * consumer knew its version within `deferTimeout`. `held`: an earlier event of its key is a dead letter, and too many events
   * wait already. `expired`: its `expires` was over before a handler began.
   */
  readonly reason: DeadReason;
  /** How many attempts were counted. */
  readonly attempts: number;
  /** When the first attempt failed. */
  readonly firstFailedAt: Date;
  /** When the last attempt failed. */
  readonly lastFailedAt: Date;
  /** The consumer that made it a dead letter, by its name in the store. */
  readonly consumer: string;
  /** The error of the last attempt. */
  readonly error: ErrorRecord;
  /** Its key, with `whenDead: "hold-key"`: the letter holds later events of the key. Undefined where the key is not known. */
  readonly key: string | undefined;
  /** The event; undefined when it cannot be decoded. */
  readonly event: E | undefined;
  /**
   * Why the event cannot be decoded: an `UndecodableError`, or the error of a schema or a key store that failed for now.
   * Left out of `toJSON` and of inspection.
   */
  readonly undecodable: Error | undefined;
  /** The fields of the stored entry, sensitive fields included. Left out of `toJSON` and of inspection. */
  readonly raw: Readonly<Record<string, string>>;
}
