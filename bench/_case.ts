/** Where the data of the cases is: emptied before each. */
export interface Place {
  /** The URL of a server of the bench's own. */
  readonly redis: string;
  /** A folder for files. */
  readonly folder: string;
  /** A name of this run's own, for what is not on that server. */
  readonly run: string;
}

/** What one run gave: `perSecond` of throughput, or figures of the case's own. */
export type Sample = Readonly<Record<string, number>>;

/** A case that is ready to run. */
export interface Prepared {
  /**
   * What is measured. Where it returns nothing, throughput is computed from the time it took.
   *
   * @param begin Has measuring begin only now: what came before warmed up.
   */
  run(begin: () => void): Promise<Sample | void>;
  /** Checks and clears away, unmeasured. */
  close(): Promise<void>;
}

/** How many events warm up what is measured with so many: code that the garbage collection before has forgotten. */
export function warmUpOf(count: number): number {
  return Math.ceil(count / 2);
}

/** One row of the table. */
export interface Case {
  /** What it is measured with: unique in its group. */
  readonly name: string;
  /** What is measured: the table's heading. */
  readonly group: string;
  /** How many events. */
  readonly count: number;
  /** Names of cases of this group that its `perSecond` is compared with, inside each round. */
  readonly against?: readonly string[];
  /** Settings and circumstances that a reader has to know. */
  readonly note?: string;
  /** Its figures do not vary with time: one round is enough. */
  readonly once?: boolean;
  /** It takes long: `--quick` leaves it out. */
  readonly slow?: boolean;
  /** Does everything that is not measured. */
  setup(place: Place, count: number): Promise<Prepared>;
}

/** How a case is called in `--only` and in the results. */
export function idOf({ group, name }: Pick<Case, "group" | "name">): string {
  return `${group} / ${name}`;
}
