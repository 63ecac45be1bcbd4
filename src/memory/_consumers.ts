import { StoreError } from "../store/mod.ts";

/** A consumer that joined, and neither left nor was given up. */
export interface Consumer {
  readonly name: string;
  readonly storeName: string;
  readonly lease: number;
  expires: number;
  stalled: boolean;
}

/** The consumers of one group, living and dead. */
export class Consumers {
  #group: string;
  #now: () => number;
  #all = new Map<string, Consumer>();
  #incarnations = 0;

  /** `group` is what an error calls the group. */
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

  /** A new consumer of that name, unless another live one has it. */
  join(name: string, lease: number): Consumer {
    this.#assertNameFree(name, undefined);
    const storeName = `${name}.${(++this.#incarnations).toString(36)}${crypto.randomUUID().slice(0, 6)}`;
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

  /** The consumer, alive for another lease; one that was given up joins again, unless somebody took its name. */
  touch(storeName: string, lease: number): Consumer {
    const now = this.#now();
    let consumer = this.#all.get(storeName);
    if (consumer === undefined || consumer.expires <= now) {
      const name = storeName.slice(0, storeName.lastIndexOf("."));
      this.#assertNameFree(name, storeName);
      consumer ??= this.#enrol(name, storeName, lease);
    }
    consumer.expires = now + lease;
    return consumer;
  }
}
