import { LARGEST_WINDOW, type Settings } from "../jobs/_consumer_settings.ts";

// How many deliveries the consumer of each partition may hold without `prefetch`: claims of fewer entries are slow.
const LEAST_EACH = 64;

/** What the consumers of one subscription share that read the partitions of one stream. */
export class SharedWindows {
  readonly entries: SharedWindow;
  readonly bytes: SharedWindow;
  /** How many of their handlers run. */
  #running = 0;

  constructor({ prefetch, concurrency, prefetchBytes }: Settings) {
    const isIdle = () => this.#running === 0;
    this.entries = prefetch === undefined
      ? new SharedWindow(Math.max(LARGEST_WINDOW, 16 * concurrency), isIdle, LEAST_EACH)
      : new SharedWindow(prefetch, isIdle);
    this.bytes = new SharedWindow(prefetchBytes, isIdle);
  }

  get running(): number {
    return this.#running;
  }

  handlerStarted(): void {
    this.#running++;
  }

  handlerEnded(): void {
    this.#running--;
  }
}

/**
 * A bound for what several consumers hold together. Half of it is divided among them, so that a consumer with many entries
 * keeps no other one from claiming; the rest is for any of them.
 */
export class SharedWindow {
  #given: number;
  #leastEach: number;
  #isIdle: () => boolean;
  #most: number;
  #shares = new Set<Share>();
  /** How much all hold, and what is kept for those that hold less than they may always hold. */
  #taken = 0;
  #reserve = 1;
  /** How much became free since those that wait were told. */
  #freed = 0;
  #waiting = new Set<() => void>();

  /**
   * @param most How much they hold together.
   * @param isIdle Whether no handler runs.
   * @param leastEach They hold more together if that is less than so much for each.
   */
  constructor(most: number, isIdle: () => boolean = () => false, leastEach = 0) {
    this.#given = this.#most = most;
    this.#isIdle = isIdle;
    this.#leastEach = leastEach;
  }

  /**
   * The share of one more consumer.
   *
   * @param freed Called after {@linkcode Share.wait} when others hold less.
   */
  join(freed: () => void = () => {}): Share {
    const share: Share = {
      held: 0,
      room: () => this.#kept(share) + Math.max(0, this.#most - this.#taken),
      size: () => this.#most / this.#shares.size,
      add: (count) => {
        if (!this.#shares.has(share)) return;
        this.#taken -= this.#kept(share) + share.held;
        share.held += count;
        this.#taken += this.#kept(share) + share.held;
        if (count < 0) this.#free(-count);
      },
      wait: () => void this.#waiting.add(freed),
      leave: () => {
        this.#waiting.delete(freed);
        if (!this.#shares.delete(share)) return;
        this.#divide();
        this.#free(share.held);
      },
    };
    this.#shares.add(share);
    this.#divide();
    return share;
  }

  /** What is kept for a consumer that holds less than it may always hold. */
  #kept({ held }: Share): number {
    return Math.max(0, this.#reserve - held);
  }

  #divide(): void {
    const { size } = this.#shares;
    this.#most = Math.max(this.#given, this.#leastEach * size);
    this.#reserve = Math.max(1, Math.floor(this.#most / 2 / Math.max(1, size)));
    this.#taken = 0;
    for (const share of this.#shares) this.#taken += share.held + this.#kept(share);
  }

  // Not for each entry: there may be hundreds of consumers that wait.
  #free(count: number): void {
    this.#freed += count;
    if (this.#waiting.size === 0 || this.#freed < this.#reserve / 2 && !this.#isIdle()) return;
    this.#freed = 0;
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const freed of waiting) freed();
  }
}

/** What one consumer may hold of a {@linkcode SharedWindow}. */
export interface Share {
  /** How much it holds. */
  held: number;
  /** How much more it may hold now. */
  room(): number;
  /** How much each consumer could hold if all held the same. */
  size(): number;
  /** It holds so much more, or less. */
  add(count: number): void;
  /** Has `freed` be called once there may be more room. */
  wait(): void;
  /** It holds nothing any more. */
  leave(): void;
}
