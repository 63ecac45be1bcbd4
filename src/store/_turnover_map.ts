// So many entries may come, or as many times as many as there are, before the table is made anew.
const LEAST = 1_024;
const TIMES = 4;

/**
 * A map whose entries come and go all the time, and that lives long.
 *
 * A `Map` of V8 that has been full gets a new table, and the one before points to it. Once one of these tables has grown
 * old, the collector keeps all that followed it, with the entries that each of them once had, until its next full run:
 * it then spends its time on copying what nobody needs. Here a new map takes over, to which nothing old points.
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

  /** In the order in which they came; what comes meanwhile may be left out. */
  keys(): IterableIterator<K> {
    return this.#map.keys();
  }

  /** In the order of their keys; what comes meanwhile may be left out. */
  values(): IterableIterator<V> {
    return this.#map.values();
  }
}
