// The map is replaced after this many additions, or after this multiple of its size, whichever is more.
const LEAST = 1_024;
const TIMES = 4;

/**
 * A long-lived map for entries that are added and deleted all the time.
 *
 * When the table of a `Map` is full, V8 allocates a new table, and the old table points to it. Once an old table is in the
 * old generation, it keeps all later tables and their deleted entries alive until the next full collection, and the
 * collector copies them again and again. This class moves the entries to a new `Map` instead, which no old table points to.
 */
export class TurnoverMap<K, V> {
  #map = new Map<K, V>();
  #left = LEAST;

  get(key: K): V | undefined {
    return this.#map.get(key);
  }

  has(key: K): boolean {
    return this.#map.has(key);
  }

  set(key: K, value: V): void {
    if (--this.#left < 0) {
      this.#map = new Map(this.#map);
      this.#left = Math.max(LEAST, TIMES * this.#map.size);
    }
    this.#map.set(key, value);
  }

  delete(key: K): boolean {
    return this.#map.delete(key);
  }

  clear(): void {
    this.#map = new Map();
  }

  /** The keys, in the order of their insertion. Keys that are added during the iteration may be left out. */
  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  /** The values, in the order of their keys' insertion. Values that are added during the iteration may be left out. */
  values(): IterableIterator<V> {
    return this.#map.values();
  }
}
