import {
  comparePositions,
  type HeldDeliveries,
  type HeldState,
  type KeyedDelivery,
  MAX_WAITING,
} from "../store/mod.ts";
import type { LetterRecord, Position } from "../store/mod.ts";
import type { Pending } from "./_pending.ts";

type HoldingLetter = Pick<LetterRecord, "id" | "position">;

/** A key that dead letters hold. */
interface Hold {
  /** In order of position. */
  letters: HoldingLetter[];
  readonly waiting: Set<Pending>;
}

/** The keys of a group that dead letters hold, and the deliveries that wait behind these letters. */
export class Holds {
  #keys = new Map<string, Hold>();
  #waiting = 0;
  #freed = 0;

  /** How often letters have ceased to hold a key; undefined if no key is held. */
  get holding(): number | undefined {
    return this.#keys.size > 0 ? this.#freed : undefined;
  }

  get state(): HeldState {
    let from: Position | undefined;
    for (const { letters: [first] } of this.#keys.values()) {
      if (from === undefined || comparePositions(first!.position, from) < 0) from = first!.position;
    }
    return { keys: this.#keys.size, waiting: this.#waiting, from };
  }

  /** Has a letter hold its key. */
  hold(key: string, letter: HoldingLetter): void {
    const hold = this.#keys.get(key);
    if (hold === undefined) return void this.#keys.set(key, { letters: [letter], waiting: new Set() });
    const { letters } = hold;
    // Nearly always the last one: sorting for each of many letters would take long.
    const isLast = comparePositions(letters.at(-1)!.position, letter.position) <= 0;
    letters.push(letter);
    if (!isLast) letters.sort((a, b) => comparePositions(a.position, b.position));
  }

  #isBehind(position: Position, key: string): boolean {
    const first = this.#keys.get(key)?.letters[0];
    return first !== undefined && comparePositions(first.position, position) < 0;
  }

  held(deliveries: readonly KeyedDelivery[]): HeldDeliveries {
    return {
      positions: deliveries.filter(({ key, position }) => this.#isBehind(position, key)).map(({ position }) =>
        position
      ),
      room: MAX_WAITING - this.#waiting,
      freed: this.#freed,
    };
  }

  /** Has a delivery wait for its key. Returns false if it need not wait, or cannot because too many wait. */
  wait(pending: Pending, key: string): boolean {
    if (this.#waiting >= MAX_WAITING || !this.#isBehind(pending.position, key)) return false;
    pending.waitsFor = key;
    this.#keys.get(key)!.waiting.add(pending);
    this.#waiting++;
    return true;
  }

  /** Removes a delivery, if it waits. */
  remove(pending: Pending): void {
    const { waitsFor } = pending;
    if (waitsFor === undefined) return;
    pending.waitsFor = undefined;
    if (this.#keys.get(waitsFor)!.waiting.delete(pending)) this.#waiting--;
  }

  /** These letters hold their keys no longer. Removes and returns the deliveries that wait behind no other letter. */
  lift(letters: readonly LetterRecord[]): Pending[] {
    const byKey = Map.groupBy(letters, ({ key }) => key);
    byKey.delete(undefined);
    return [...byKey].flatMap(([key, lifted]) => this.#lift(key!, new Set(lifted.map(({ id }) => id))));
  }

  #lift(key: string, ids: ReadonlySet<string>): Pending[] {
    const hold = this.#keys.get(key);
    if (hold === undefined) return [];
    this.#freed++;
    hold.letters = hold.letters.filter(({ id }) => !ids.has(id));
    const freed = [...hold.waiting].filter(({ position }) => !this.#isBehind(position, key));
    for (const pending of freed) this.remove(pending);
    if (hold.letters.length === 0) this.#keys.delete(key);
    return freed;
  }

  /** Letters at or after a position hold their keys no longer. The deliveries behind them must have been removed before. */
  rewind(to: Position): void {
    this.#freed++;
    for (const [key, hold] of this.#keys) {
      hold.letters = hold.letters.filter(({ position }) => comparePositions(position, to) < 0);
      if (hold.letters.length === 0) this.#keys.delete(key);
    }
  }

  /** No letter holds its key any more. Removes and returns all deliveries that wait. */
  clear(): Pending[] {
    const freed = [...this.#keys.values()].flatMap(({ waiting }) => [...waiting]);
    for (const pending of freed) pending.waitsFor = undefined;
    this.#keys.clear();
    this.#waiting = 0;
    this.#freed++;
    return freed;
  }
}
