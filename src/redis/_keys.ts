/** The stream and the helper keys of one group. A hash tag puts all of them in one slot. Helper keys begin with a brace. */
export interface GroupKeys {
  /** The stream itself. */
  readonly stream: string;
  /**
   * Hash: the state of the group. Fields: `life`, `bell`, `epoch`, `rewind:<epoch>`, `checkpoint`, `including`, `lives`,
   * `mark`, `removed`, `types`, `whendead`, `freed`, `skipped`, `expired`, `exclusive`, `control`,
   * `controltext` and `deleted`; for each consumer `gen:`, `lease:`,
   * `stalled:`, `version:`, `conn:` and `serial:`.
   */
  readonly meta: string;
  /** Sorted set: consumers by the end of their lease, in milliseconds. */
  readonly consumers: string;
  /** Sorted set: positions of parked deliveries by the time when they are due, in milliseconds. */
  readonly due: string;
  /** Hash: by position, the history of each unsettled delivery that failed or was recovered, and what is kept beside it. */
  readonly work: string;
  /** Hash: by position, copies of deliveries that were redriven or parked after their entry was removed. */
  readonly redrive: string;
  /** Stream: the dead letters. */
  readonly dead: string;
  /** Hash: by key, the lowest position of the dead letters that hold it. Like the next two, only with `hold-key`. */
  readonly deadKeys: string;
  /** Sorted set: the dead letters that hold keys, as `<length of the key>:<key>:<position>:<id>`. */
  readonly deadHolds: string;
  /** Sorted set: the deliveries that wait behind these letters, as `<length of the key>:<key>:<position>`. */
  readonly waiting: string;
  /** Stream that exists during a script only, which finds out by it how the server counts reads. */
  readonly counting: string;
}

/** The keys of a group. */
export function groupKeys(stream: string, group: string): GroupKeys {
  const key = (kind: string) => `{${stream}}:${kind}:${group}`;
  return {
    stream,
    meta: key("group"),
    consumers: key("consumers"),
    due: key("due"),
    work: key("work"),
    redrive: key("redrive"),
    dead: key("dead"),
    deadKeys: key("deadkeys"),
    deadHolds: key("deadholds"),
    waiting: key("waiting"),
    counting: key("counting"),
  };
}

/** The keys in the order in which the scripts of a group take them. */
export function keyList({ stream, meta, consumers, due, work, redrive, dead, counting }: GroupKeys): string[] {
  return [stream, meta, consumers, due, work, redrive, dead, counting];
}

/** The same with the keys about held keys: for operating scripts, and for consumers of groups that hold keys. */
export function holdingKeyList(keys: GroupKeys): string[] {
  return [...keyList(keys), keys.deadKeys, keys.deadHolds, keys.waiting];
}

/** Hash: `text` that processes share by a name, and its `version`. */
export function stateKey(stream: string, name: string): string {
  return `{${stream}}:state:${name}`;
}

/** String: appends of a lower layout than this are refused. */
export function layoutKey(stream: string): string {
  return `{${stream}}:layout`;
}

/** Hash: numbers and positions of the last batches of a producer on one stream. */
export function producerKey(stream: string, producer: string): string {
  return `{${stream}}:producer:${producer}`;
}

/**
 * Hash: for each subject with revisions, its last revision and the position of that entry; and how many entries it has had,
 * if that is another number.
 */
export function subjectsKey(stream: string): string {
  return `{${stream}}:index`;
}

/** Hash: revision and position of every 128th entry of a subject, by the subject and a number: 1, 2, 3, … */
export function marksKey(stream: string): string {
  return `{${stream}}:index:marks`;
}

/**
 * The entries that are appended later, by callers that chose the stream by this layout. Sorted set: a number in the order of
 * adding, and the id, by due time in milliseconds. Hash: by id, the entry in MessagePack; without a name, counters.
 */
export function scheduleKeys(stream: string, layout: number): [waiting: string, records: string] {
  const end = layout === 0 ? "" : `:${layout}`;
  return [`{${stream}}:schedule${end}`, `{${stream}}:scheduled${end}`];
}

/** String: when the next start of a limiter is due, for each key. */
export function limitKey(stream: string, name: string, key: string): string {
  return `{${stream}}:rate:${name}:${key}`;
}
