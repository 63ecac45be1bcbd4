/** Guarantees of every store and every client, by number. Tests name the numbers that they show. */
export const GUARANTEES: Readonly<Record<number, string>> = {
  1: "Events published before a group subscribed arrive unchanged",
  2: "Fifty consumers of a group share the events of fifty publishers, and each event is handled once",
  3: "A subscription receives all events of its types, with many types at once",
  4: "A failed event is retried until it succeeds",
  5: "With a concurrency of 1 or a constant key, handlers run one at a time and in order",
  6: "A group resumes where it was after all its consumers closed",
  7: "Subscriptions that open and close at once lose no event",
  8: "Consumers that fail and close leave all events to the next consumer",
  9: "Events of one key are handled in order, retries included",
  10: "A publish during close is either stored or rejected",
  11: "Event types are kept apart",
  12: "The signal of a lost or drained delivery aborts, and a late settle is refused",
  13: "An aborted signal ends a subscription and loses nothing",
  14: "A new group starts where `startFrom` says: the beginning, now, a date or a position",
  15: "All events arrive although the server restarts",
  16: "Every group receives every event",
  17: "The deliveries of a killed process move to another process, and no attempt is counted",
  18: "A slow handler keeps its delivery",
  19: "The deliveries of a paused process move to another process, and its late acknowledgements are refused",
  20: "Leases may have different lengths, and the name of a live consumer is refused",
  21: "Retries follow their policy, survive restarts, and never come early",
  22: "A dead letter is written once, atomically and completely",
  23: "An event that kills its process becomes a dead letter, and no other event does",
  24: "An undecodable entry affects no other entry",
  25: "A redrive returns dead letters to their own group only",
  26: "A subscription continues after its stream or group was lost",
  27: "Retention keeps events that a group has not read or settled",
  28: "History and replay read stored events and change no group",
  29: "A group can be rewound while its consumers run",
  30: "Publishes are stored in order, arrays atomically, and no event twice",
  31: "Queues and buffers are bounded, and backpressure is visible",
  32: "Closing lets handlers finish and releases the rest",
  33: "Live listeners receive each later event once",
  34: "A clock that jumps does no harm, and errors name the way out",
  35: "Every store behaves like one model",
  36: "Observers see every publish, attempt and settlement, and affect none",
  37: "`health()` reports at once whether a broker can work, and why not",
  38: "Classes that share a stream are seen in one order; each group gets its own types only",
  39: "An exclusive consumer has its group to itself, and the next one goes on in order",
  40: "Processes share small texts by compare-and-set, and a fenced stream refuses appends of an older layout",
  41: "An append with an expected revision is accepted once or refused, and each subject is numbered without gaps",
  42: "The events of one subject are read by an index, from any revision and at any age of the stream",
  43: "Dead letters keep the order: later events of a held key wait behind its letter",
  44: "Streams and consumers are bounded in bytes, and no event that a group needs is removed",
  45: "Each partition has one consumer of a group at a time, evenly spread, also while consumers come, go and die",
  46: "Each event is in the partition of its subject, and each subject is in order",
  47: "Everything that works on a stream works over all its partitions",
  48: "The number of partitions changes while brokers publish and consume",
  49: "Scheduled events are stored like any event, and appended once, at their time",
  50: "Each tick of a schedule is published once over all processes, missed ticks by its policy",
  51: "A paused group starts nothing, in any process, until it is resumed, and goes on where it was",
  52: "A rate limits how often a group starts handlers, over all its processes, evenly spread",
  53: "A batch of events is handled together, and each of its events settles by itself",
  54: "What a handler keeps beside its delivery outlives failures and consumers, and ends with the delivery",
  55: "An expired event is not handled: its group settles and counts it, or makes it a dead letter",
};

/** A promise of README, with the numbers of its guarantees, its settings and its cost. */
export interface Promised {
  readonly promise: string;
  readonly numbers: readonly number[];
  readonly details: string;
  /** What a failover of a Redis Cluster or of Sentinels changes. */
  readonly failover?: string;
}

const LOSES =
  "a failover loses events that no replica has, unless `redis: { durability: { replicas: 1 } }` makes `publish` wait for one";
const REPEATS = "an acknowledgement or a count of attempts that a failover lost happens again";

/** Promises to users. */
export const PROMISES: readonly Promised[] = [
  {
    promise: "`publish` resolves when the store has the event, and rejects when it has not",
    numbers: [1, 10, 30],
    details:
      "It lasts as long as the store keeps it: see the [settings of a Redis server](README_REDIS.md#settings-of-the-server). One round trip, shared by concurrent calls.",
    failover: LOSES,
  },
  {
    promise: "A lost reply never stores an event twice",
    numbers: [30],
    details:
      "When the outcome stays unknown for `publishTimeout` (60 s), `publish` rejects with an `UncertainPublishError`: publish the same object again on the same broker.",
  },
  {
    promise: "Events of one caller and type are stored in the order of the calls",
    numbers: [30],
    details: "Also across failures. An event that was refused loses its place.",
  },
  {
    promise: "An array of one type is stored as a whole or not at all",
    numbers: [30, 47],
    details:
      "At most 500 events and 1 MiB. In an array of several types, each type stands alone, and so does each partition of a stream.",
  },
  {
    promise: "`publish` with `expected` stores the events only if the subject has that revision",
    numbers: [41],
    details:
      "Otherwise it rejects with a `ConflictError`, which has the revision found. The events of a subject are numbered 1, 2, 3, … in each stream whose classes all have the option `subject`; lost replies leave no gap.",
    failover: LOSES,
  },
  {
    promise: "`publish` with `delay` or `at` stores an event once, at its time",
    numbers: [49],
    details:
      "By the clock of the store, within 50 ms while a broker with its class is open, and when the next one opens otherwise; a second late at most if the process that published it has died within a second. `unschedule` and `reschedule` say whether the event was still waiting.",
    failover: LOSES,
  },
  {
    promise: "`schedule` publishes each tick once over all processes",
    numbers: [50],
    details:
      "By a cron pattern with a time zone, or each so many milliseconds; changed and removed by name. Ticks that were missed come by a policy: `skip`, `once` or `all`. If the broker that has claimed a tick dies, another one publishes it a second later.",
    failover: LOSES,
  },
  {
    promise: "`history` with `subject` reads the events of one subject by an index",
    numbers: [42],
    details:
      "In the order of their revisions, from any revision, however long the stream is. Entries of other programs have no revision.",
  },
  {
    promise: "Memory for unanswered publishes is bounded",
    numbers: [31],
    details:
      "By `maxQueued` (100,000 events) and `maxQueuedBytes` (256 MiB) for each broker. Beyond that `publish` rejects at once with a `PublishQueueFullError`. A small event takes about 3 KB while it waits.",
  },
  {
    promise: "Every group gets every event at least once",
    numbers: [1, 2, 3, 6, 7, 8, 14, 15, 16],
    details: "Acknowledged only after the handler has ended.",
    failover: LOSES,
  },
  {
    promise: "The work of a dead process moves to another process",
    numbers: [17, 18, 19, 20],
    details: "After its `lease` (30 s). A shorter lease costs a renewal every third of it.",
  },
  {
    promise: "A failed handler is retried",
    numbers: [4, 21, 22],
    details:
      "With exponential backoff and jitter; due times are kept in the store. After `maxAttempts` (10), or at once for a `PermanentError`, the event becomes a dead letter.",
    failover: REPEATS,
  },
  {
    promise: "An attempt is counted when a handler fails, once",
    numbers: [17, 22, 35],
    details: "Never by reading, by closing, by the death of a process or by a lost reply.",
    failover: REPEATS,
  },
  {
    promise: "An event that kills its process becomes a dead letter",
    numbers: [23],
    details:
      "After its second death it runs exclusively, so that other events do not die with it. Meanwhile its consumer runs no other handler.",
    failover: REPEATS,
  },
  {
    promise: "`close()` loses nothing",
    numbers: [10, 12, 13, 32],
    details: "Running handlers finish, for up to `drainTimeout` (10 s); the rest is released, uncounted.",
  },
  {
    promise: "A paused group starts no handler in any process",
    numbers: [51],
    details:
      "Within 100 ms of `broker.pause`, until `resume`, also after restarts and in partitions that are added. Running handlers finish; what consumers have read returns to the group, uncounted. With `pauseAfter`, failures in a row pause the group for a while.",
    failover: "a failover undoes a pause that no replica has",
  },
  {
    promise: "`rate` limits how often handlers of a group start, over all its processes",
    numbers: [52],
    details:
      "Evenly spread, by the clock of the store: three processes with 200 starts a second were within 2 % over ten seconds, with at most 203 in any second. `by` gives each key a limit of its own. A `RateLimitedError` pauses the group, uncounted.",
  },
  {
    promise: "Events of one `key` are handled in order",
    numbers: [5, 9],
    details:
      "Within one subscription, retries included. Events behind a waiting retry count in `prefetch`; when they fill it, reading stops and `info()` says `stalled`.",
  },
  {
    promise: "`delivery.once` does a step once over all attempts of an event",
    numbers: [54],
    details:
      "Its answer is kept in the store beside the delivery, until that ends. A step whose process dies before the store has the answer is done again. At most 64 answers and 64 KiB. See [Steps](USAGE.md#steps-that-are-not-repeated).",
    failover: "a failover forgets an answer that no replica has",
  },
  {
    promise: "An event whose `expires` is over is not handled",
    numbers: [55],
    details:
      "By the clock of the consumer, before the handler starts. The group settles and counts it, or keeps it as a dead letter, with `whenExpired`. See [Deadlines](USAGE.md#deadlines).",
  },
  {
    promise: "Events can be handled in batches, and each settles by itself",
    numbers: [53],
    details:
      "A failed batch costs each of its events one attempt, and a `BatchError` only those that it names. Order, leases and dead letters are those of single events: see [Consuming in batches](USAGE.md#consuming-in-batches).",
  },
  {
    promise: 'With `whenDead: "hold-key"`, later events of a key wait behind its dead letter',
    numbers: [43],
    details:
      "In the store, until the letter is redriven or discarded; other keys go on. At most 10,000 events wait in each group and stream; later ones become dead letters of reason `held`. Waiting events pin retention. A rewind lets held events come again.",
    failover: REPEATS,
  },
  {
    promise: "Events of one subject keep their order over partitions, consumers and processes",
    numbers: [39, 45, 46, 47, 48],
    details:
      'In streams with [partitions](USAGE.md#partitions), of which each has one consumer of a group at a time; also while consumers come, go and die, and while the number of partitions changes. Not with `assignment: "shared"`.',
  },
  {
    promise: "A consumer's memory is bounded",
    numbers: [31, 44],
    details:
      "By `prefetch` events of each type (at most 1,000 by default), and by `prefetchBytes` (64 MiB), over all partitions of a stream together; events that suddenly get larger exceed that by one claim. Retries wait in the store.",
  },
  {
    promise: "`retention` never removes events that a group has not read or settled",
    numbers: [27, 44],
    details:
      "By age, number (`maxLength`) or size (`maxBytes`). A group without consumers keeps everything; `info().pinnedBy` names it. Entries that another program removed are reported by `entrieslost`.",
  },
  {
    promise: "An event that its schema refuses is neither stored nor handled",
    numbers: [22, 24],
    details:
      "`publish` rejects with a `ValidationError`; after decoding, the event becomes a dead letter with the issues. [What it costs](../bench/README.md).",
  },
  {
    promise: "Old and new programs share a stream while versions change",
    numbers: [24, 25],
    details:
      "Older entries are upcast. Newer ones are deferred, uncounted, until a consumer knows their version, for at most `deferTimeout` (7 days); then they become dead letters of reason `version`. `info().groups[].deferred` counts them. They pin retention; with `key` they come later than the events behind them.",
  },
  {
    promise: "Encrypted fields are unreadable once the key of their subject is deleted",
    numbers: [24],
    details:
      "In streams, dead letters and their backups; they decode to `Shredded`. [Not covered](CONTRACTS.md#sensitive-data): logs, errors, ids, backups of the keys. Shown by `tests/encryption/stores_test.ts`.",
  },
  {
    promise: "A group or stream that was deleted by hand is made again",
    numbers: [26],
    details: "From its checkpoint. The event `grouplost` says from where, and whether events may repeat.",
  },
  {
    promise: "History and replay read the past and change no group; a rewind moves a whole group",
    numbers: [28, 29],
    details: "Page by page, with bounded memory.",
  },
  {
    promise: "Live listeners receive each later event once",
    numbers: [33],
    details: "While they listen, best effort.",
  },
];
