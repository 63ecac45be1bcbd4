import type { DeferredState } from "../store/mod.ts";
import type { Reach } from "../store/_reach.ts";
import { Parking } from "./_parking.ts";
import type { Pending } from "./_pending.ts";

/** What waits for one version, as it was deferred, and in order of position. */
interface Waiting {
  readonly all: Set<Pending>;
  readonly inOrder: Parking<Pending>;
}

/** What a group deferred, by version: deliveries of entries that their consumers did not know. */
export class Deferred {
  #versions = new Map<number, Waiting>();

  add(pending: Pending, version: number, now: number): void {
    let waiting = this.#versions.get(version);
    if (waiting === undefined) {
      this.#versions.set(version, waiting = { all: new Set(), inOrder: new Parking() });
    }
    pending.deferred = { version, since: now };
    waiting.all.add(pending);
    // All of them are due alike: what decides is the place in the stream.
    waiting.inOrder.park(pending, 0);
  }

  /** It does not wait any more. */
  remove(pending: Pending): void {
    const { version } = pending.deferred ?? {};
    const waiting = version === undefined ? undefined : this.#versions.get(version);
    if (waiting === undefined) return;
    pending.due = undefined;
    waiting.all.delete(pending);
    if (waiting.all.size === 0) this.#versions.delete(version!);
  }

  /** Takes the first one that the taker knows, else one that has waited for too long. It still says for what it was deferred. */
  take({ version, deferTimeout }: Reach, now: number): Pending | undefined {
    // What nearly every group has.
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

  /** What was deferred first for each version. */
  #oldest(): Pending[] {
    return [...this.#versions.values()].map(({ all }) => all.values().next().value!);
  }

  /** When there is something to take for whoever waits. */
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
