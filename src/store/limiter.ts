/** How many starts are allowed. */
export interface RateLimit {
  /** How many starts are allowed in `per` milliseconds, evenly spread. */
  readonly limit: number;
  /** In milliseconds. */
  readonly per: number;
  /** How many starts may come at once after a time without any. @default {1} */
  readonly burst?: number;
}

/** How many starts to reserve. */
export interface TakeOptions {
  /** The most starts to reserve, from 1 to 1,000. */
  readonly count: number;
  /** Reserves only starts that are due within so many milliseconds, at most 1,000. */
  readonly ahead: number;
  /** Starts of each key have a limit of their own. @default {""} */
  readonly key?: string;
}

/** Reserved starts. */
export interface Taken {
  /** In how many milliseconds each of them is due, in ascending order. */
  readonly delays: readonly number[];
  /** In how many milliseconds the next start after them is due. */
  readonly next: number;
}

/**
 * Limits how often something starts, over all processes, by the clock of the store. A start that is reserved counts, whether
 * or not it is used. Nothing is kept about keys without starts in the last `per` milliseconds.
 */
export interface Limiter {
  /** Reserves starts. None are reserved if the next one is due later than `ahead`. */
  take(rate: RateLimit, options: TakeOptions): Promise<Taken>;
}
