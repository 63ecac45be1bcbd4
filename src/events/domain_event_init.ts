/** The id, the time and the metadata of a new event. The constructor throws a TypeError for a value that breaks a rule. */
export interface DomainEventInit {
  /**
   * Unique among the events of its type: 1 to 256 characters without control characters.
   *
   * @default {a new UUIDv7}
   */
  id?: string;
  /**
   * When the event happened.
   *
   * @default {the time in a UUIDv7 `id`, otherwise now}
   */
  time?: Date;
  /**
   * Until when groups handle the event: a Date, or milliseconds after `time`. A group that has not begun to handle it by then
   * settles it as expired, by the clock of its consumer; see the option `whenExpired` of `subscribe`. The event stays in the
   * stream, for history and live listeners.
   *
   * @default {for ever}
   */
  expires?: Date | number;
  /** Where the event happened: a URI or a path, such as `"/auctions/eu"`. */
  source?: string;
  /** The thing that the event is about, within its source, such as the id of an auction. */
  subject?: string;
  /**
   * The id that all events with one origin have in common.
   *
   * @default {inside a handler, the correlation id of the handled event, or its id if it has none}
   */
  correlationId?: string;
  /**
   * The id of the event that led to this one.
   *
   * @default {inside a handler, the id of the handled event}
   */
  causationId?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** CloudEvents extension attributes. Names have 1 to 20 lower-case letters and digits; values are strings. */
  extensions?: Readonly<Record<string, string>>;
}
