import { isInstance } from "../../events/_foreign.ts";
import { type EventStore, type GroupState, StoreError } from "../../store/mod.ts";
import { haveSameTerms } from "../../store/_groups.ts";

// How long the consumer that makes a group on a new partition counts as alive, should it die before it leaves, in ms.
const LEASE = 1_000;

/** What all consumers of a group agree on. */
type Terms = Pick<GroupState, "types" | "whenDead">;

/** Makes every group of a stream on its new partitions, so that it misses no event there, whatever its `startFrom`. */
export class NewGroups {
  #store: EventStore;
  #existing: readonly string[];
  #added: readonly string[];
  /** By new partition and name, the groups that were found or made there. */
  #there = new Map<string, Map<string, Terms>>();

  /**
   * @param existing The streams in the store that have the groups.
   * @param added The new partitions.
   */
  constructor(store: EventStore, existing: readonly string[], added: readonly string[]) {
    this.#store = store;
    this.#existing = existing;
    this.#added = added;
  }

  /** Makes the groups that there are now. Called again, it only makes what has changed since. */
  async make(): Promise<void> {
    if (this.#added.length === 0) return;
    const groups = new Map<string, Terms>();
    const states = await Promise.all(this.#existing.map((stream) => this.#store.admin(stream).info()));
    for (const state of states) for (const group of state.groups) groups.set(group.name, group);
    await Promise.all(this.#added.map((stream) => this.#makeIn(stream, groups)));
  }

  async #makeIn(stream: string, groups: ReadonlyMap<string, Terms>): Promise<void> {
    let there = this.#there.get(stream);
    if (there === undefined || [...there].some(([name, terms]) => !haveSame(groups.get(name), terms))) {
      there = await this.#corrected(stream, groups);
      this.#there.set(stream, there);
    }
    for (const [name, terms] of groups) {
      if (there.has(name)) continue;
      await this.#makeGroup(stream, name, terms);
      there.set(name, terms);
    }
  }

  /** The groups of a new partition, without those that were deleted meanwhile, and altered like those of the stream. */
  async #corrected(stream: string, groups: ReadonlyMap<string, Terms>): Promise<Map<string, Terms>> {
    const admin = this.#store.admin(stream);
    const there = new Map<string, Terms>();
    for (const group of (await admin.info()).groups) {
      const terms = groups.get(group.name);
      // Without `force`: if another process has ended the change since, the group may have been made anew and be in use.
      if (terms === undefined) await admin.removeGroup(group.name);
      else {
        if (!haveSame(terms, group)) await admin.alterGroup(group.name, terms);
        there.set(group.name, terms);
      }
    }
    return there;
  }

  async #makeGroup(stream: string, group: string, terms: Terms): Promise<void> {
    // Another process may end the same change.
    const consumer = `repartition-${crypto.randomUUID().slice(0, 8)}`;
    try {
      const options = { consumer, lease: LEASE, startFrom: "beginning", ...termsOf(terms) } as const;
      await (await this.#store.member(stream, group, options)).leave();
    } catch (error) {
      // The other process has ended the change, and a consumer has joined the group that it made.
      if (!isInstance(error, StoreError) || error.kind !== "occupied") throw error;
    }
  }
}

function haveSame(one: Terms | undefined, other: Terms): boolean {
  return one !== undefined && haveSameTerms(termsOf(one), termsOf(other));
}

function termsOf({ types, whenDead }: Terms): Pick<GroupState, "whenDead"> & { types?: readonly string[] } {
  return { whenDead, ...(types !== undefined && { types }) };
}
