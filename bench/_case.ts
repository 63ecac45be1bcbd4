/** Where a case keeps its data. Emptied before each case. */
export interface Place {
  /** The URL of the bench's own Redis server. */
  readonly redis: string;
  /** A folder for files. */
  readonly folder: string;
  /** A unique name of this run, for data that is not on that server. */
  readonly run: string;
}

/** The figures of one run: `perSecond` for throughput, or other figures of the case. */
export type Sample = Readonly<Record<string, number>>;

/** A case that is ready to run. */
export interface Prepared {
  /**
   * The measured work. If it returns nothing, throughput is computed from its duration.
   *
   * @param begin Starts the measurement again, to exclude a warm-up.
   */
  run(begin: () => void): Promise<Sample | void>;
  /** Checks the result and removes all data. Not measured. */
  close(): Promise<void>;
}

/** How many events warm up a run of `count` events. The garbage collection before each run discards compiled code. */
export function warmUpOf(count: number): number {
  return Math.ceil(count / 2);
}

/** One row of the table. */
export interface Case {
  /** The system or variant that is measured; unique in its group. */
  readonly name: string;
  /** What is measured; the heading in the table. */
  readonly group: string;
  /** How many events. */
  readonly count: number;
  /** Names of cases of this group. The `perSecond` of this case is compared with theirs inside each round. */
  readonly against?: readonly string[];
  /** Settings that a reader has to know. */
  readonly note?: string;
  /** One round is enough, because the figures do not vary between rounds. */
  readonly once?: boolean;
  /** The case takes long, and `--quick` leaves it out. */
  readonly slow?: boolean;
  /** Prepares a run. Not measured. */
  setup(place: Place, count: number): Promise<Prepared>;
}

/** The id of a case in `--only` and in the results. */
export function idOf({ group, name }: Pick<Case, "group" | "name">): string {
  return `${group} / ${name}`;
}
