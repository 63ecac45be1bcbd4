import type { DeferredState } from "../store/mod.ts";
import type { Reach } from "../store/_reach.ts";
import { Parking } from "./_parking.ts";
import type { Pending } from "./_pending.ts";

/** The deliveries that are deferred for one version. */
interface Waiting {
  /** In the order in which they were deferred. */
  readonly all: Set<Pending>;
  /** In order of position. */
  readonly inOrder: Parking<Pending>;
}

/** The deferred deliveries of a group, by version: their consumers did not understand it. */
export class Deferred {
  #versions = new Map<number, Waiting>();

  add(pending: Pending, version: number, now: number): void {
    let waiting = this.#versions.get(version);
    if (waiting === undefined) {
      this.#versions.set(version, waiting = { all: new Set(), inOrder: new Parking() });
    }
    pending.deferred = { version, since: now };
    waiting.all.add(pending);
    // With the same due time for all, the parking orders them by their place in the stream.
    waiting.inOrder.park(pending, 0);
  }

  /** Removes a delivery, if it is deferred. */
  remove(pending: Pending): void {
    const { version } = pending.deferred ?? {};
    const waiting = version === undefined ? undefined : this.#versions.get(version);
    if (waiting === undefined) return;
    pending.ticket = undefined;
    waiting.all.delete(pending);
    if (waiting.all.size === 0) this.#versions.delete(version!);
  }

  /**
   * Takes the first delivery, by position, whose version a member with this reach understands. If there is none, takes
   * one that has waited for longer than `deferTimeout`. Its `deferred` stays set.
   */
  take({ version, deferTimeout }: Reach, now: number): Pending | undefined {
    // Fast path: most groups have no deferred deliveries.
    if (this.#versions.size === 0) return undefined;
    let next: Pending | undefined;
    for (const [known, { inOrder }] of this.#versions) {
      const first = known <= version ? inOrder.first() : undefined;
      if (first !== undefined && (next === undefined || first.index < next.index)) next = first;
    }
    next ??= this.#oldest().find((pending) => pending.deferred!.since + deferTimeout <= now);
    if (next !== undefined) this.remove(next);
    return next;
  }

  /** For each version, the delivery that was deferred first. */
  #oldest(): Pending[] {
    return [...this.#versions.values()].map(({ all }) => all.values().next().value!);
  }

  /** Returns when a member with this reach may take a deferred delivery: -Infinity if now, Infinity if never. */
  next({ version, deferTimeout }: Reach): number {
    const times = this.#oldest().map(({ deferred }) =>
      deferred!.version <= version ? -Infinity : deferred!.since + deferTimeout
    );
    return Math.min(...times);
  }

  state(): DeferredState[] {
    return [...this.#versions]
      .map(([version, { all }]) => ({ version, pending: all.size }))
      .sort((a, b) => a.version - b.version);
  }
}
