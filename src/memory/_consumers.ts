import { occupied } from "../store/_groups.ts";
import { type ConsumerState, StoreError } from "../store/mod.ts";

/** A consumer that joined, and neither left nor was given up for dead. */
export interface Consumer {
  readonly name: string;
  /** Its name with the incarnation. */
  readonly storeName: string;
  /** In milliseconds. */
  readonly lease: number;
  /** When its lease runs out, in milliseconds since the epoch. */
  expires: number;
  stalled: boolean;
}

/** The consumers of one group: live ones, and dead ones whose deliveries were not recovered yet. */
export class Consumers {
  #group: string;
  #now: () => number;
  #all = new Map<string, Consumer>();
  #incarnations = 0;
  /** The store name of the exclusive consumer, until another consumer joins. */
  #exclusive: string | undefined;

  /** `group` names the group in error messages. */
  constructor(group: string, now: () => number) {
    this.#group = group;
    this.#now = now;
  }

  values(): Iterable<Consumer> {
    return this.#all.values();
  }

  get(storeName: string): Consumer | undefined {
    return this.#all.get(storeName);
  }

  remove(storeName: string): void {
    this.#all.delete(storeName);
  }

  clear(): void {
    this.#all.clear();
  }

  /**
   * Adds a consumer. Throws `"name-taken"` if another live consumer has the name, and `"occupied"` if one is alive and one
   * of the two is exclusive.
   */
  join(name: string, lease: number, exclusive: boolean): Consumer {
    this.#assertNameFree(name, undefined);
    this.#assertUnoccupied(name, undefined, exclusive);
    const storeName = `${name}.${(++this.#incarnations).toString(36)}${crypto.randomUUID().slice(0, 6)}`;
    this.#exclusive = exclusive ? storeName : undefined;
    return this.#enrol(name, storeName, lease);
  }

  #enrol(name: string, storeName: string, lease: number): Consumer {
    const expires = this.#now() + lease;
    const consumer: Consumer = { name, storeName, lease, expires, stalled: false };
    this.#all.set(storeName, consumer);
    return consumer;
  }

  #assertNameFree(name: string, self: string | undefined): void {
    const now = this.#now();
    for (const other of this.#all.values()) {
      if (other.name !== name || other.storeName === self || other.expires <= now) continue;
      throw new StoreError(
        "name-taken",
        `Cannot join ${this.#group} as "${name}": ${other.storeName} is alive under that name for another ` +
          `${other.expires - now} ms; close it, or take another name`,
        { holder: other.storeName, expiresIn: other.expires - now },
      );
    }
  }

  #assertUnoccupied(name: string, self: string | undefined, exclusive: boolean): void {
    const now = this.#now();
    const alive = [...this.#all.values()]
      .filter(({ storeName, expires }) => storeName !== self && expires > now)
      .filter(({ storeName }) => exclusive || storeName === this.#exclusive);
    // The last lease to end decides when the group is free.
    const last = alive.sort((a, b) => b.expires - a.expires)[0];
    const holder = last && { consumer: last.storeName, expiresIn: last.expires - now };
    // An exclusive consumer never comes back once another one has joined, even if that one has left.
    const replaced = exclusive && self !== undefined && self !== this.#exclusive;
    if (holder !== undefined || replaced) throw occupied(this.#group, name, exclusive, holder);
  }

  /**
   * Renews the lease of a consumer. A consumer that was given up for dead joins again. Throws `"name-taken"` if another
   * consumer has taken its name in the meantime, and `"occupied"` if it cannot be beside another one.
   */
  touch(storeName: string, lease: number, exclusive: boolean): Consumer {
    const now = this.#now();
    let consumer = this.#all.get(storeName);
    if (consumer === undefined || consumer.expires <= now) {
      const name = storeName.slice(0, storeName.lastIndexOf("."));
      this.#assertNameFree(name, storeName);
      this.#assertUnoccupied(name, storeName, exclusive);
      if (!exclusive) this.#exclusive = undefined;
      consumer ??= this.#enrol(name, storeName, lease);
    }
    consumer.expires = now + lease;
    return consumer;
  }

  /** What `info` says about them, given the deliveries that each one holds. */
  state(now: number, held: ReadonlyMap<Consumer | undefined, readonly unknown[]>): ConsumerState[] {
    return [...this.#all.values()].map((consumer) => ({
      name: consumer.storeName,
      pending: held.get(consumer)?.length ?? 0,
      alive: consumer.expires > now,
      stalled: consumer.stalled,
    }));
  }
}
