/** The stream and the helper keys of one group. A hash tag puts all of them in one slot. Helper keys begin with a brace. */
export interface GroupKeys {
  /** The stream itself. */
  readonly stream: string;
  /**
   * Hash: the state of the group. Fields: `life`, `bell`, `epoch`, `rewind:<epoch>`, `checkpoint`, `including`, `lives`,
   * `mark`, `removed`, `exclusive` and `deleted`; for each consumer `gen:`, `lease:`, `stalled:`, `version:`, `conn:` and `serial:`.
   */
  readonly meta: string;
  /** Sorted set: consumers by the end of their lease, in milliseconds. */
  readonly consumers: string;
  /** Sorted set: positions of parked deliveries by the time when they are due, in milliseconds. */
  readonly due: string;
  /** Hash: by position, the history of each unsettled delivery that failed or was recovered. */
  readonly work: string;
  /** Hash: by position, copies of deliveries that were redriven or parked after their entry was removed. */
  readonly redrive: string;
  /** Stream: the dead letters. */
  readonly dead: string;
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
    counting: key("counting"),
  };
}

/** The keys in the order in which the scripts of a group take them. */
export function keyList({ stream, meta, consumers, due, work, redrive, dead, counting }: GroupKeys): string[] {
  return [stream, meta, consumers, due, work, redrive, dead, counting];
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
