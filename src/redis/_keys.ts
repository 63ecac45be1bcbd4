/** The helper keys of one group. All share the stream's slot by its hash tag, and none begins with the prefix. */
export interface GroupKeys {
  /** The stream itself. */
  readonly stream: string;
  /** Hash: `life`, `bell`, `epoch`, `rewind:<epoch>`, `checkpoint`, `deleted`, `mark`, `removed`, and by consumer `gen:`, `lease:`, `stalled:`, `version:`, `conn:`. */
  readonly meta: string;
  /** Sorted set: consumers by when their lease ends, in milliseconds. */
  readonly consumers: string;
  /** Sorted set: parked deliveries by when they are due, in milliseconds. */
  readonly due: string;
  /** Hash: what is known of deliveries that failed or were recovered, by position. */
  readonly work: string;
  /** Hash: redriven deliveries whose entry is gone from the stream, by position. */
  readonly redrive: string;
  /** Stream: the dead letters. */
  readonly dead: string;
  /** Stream that exists only during a script, which finds out by it how the server counts reads. */
  readonly counting: string;
}

/** The keys of a group. */
export function groupKeys(stream: string, group: string): GroupKeys {
  const key = (what: string) => `{${stream}}:${what}:${group}`;
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

/** In the order in which every script takes them. */
export function keyList({ stream, meta, consumers, due, work, redrive, dead, counting }: GroupKeys): string[] {
  return [stream, meta, consumers, due, work, redrive, dead, counting];
}

/** What the server remembers of a producer's batches on one stream. */
export function producerKey(stream: string, producer: string): string {
  return `{${stream}}:producer:${producer}`;
}
