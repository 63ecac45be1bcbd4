/** The id, the time and the metadata of a new event. A value that breaks a rule is a TypeError. */
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
  /** Where the event happened: a URI or a path, such as `"/auctions/eu"`. */
  source?: string;
  /** The thing that the event is about, within its source, such as the id of an auction. */
  subject?: string;
  /** The id that all events with one origin have in common. Inside a handler, the handled event's by default. */
  correlationId?: string;
  /** The id of the event that led to this one. Inside a handler, the handled event's by default. */
  causationId?: string;
  /** W3C trace context. */
  traceparent?: string;
  /** CloudEvents extension attributes: names of 1 to 20 lower-case letters and digits, values strings. */
  extensions?: Readonly<Record<string, string>>;
}
