import type { ClaimedRecord, Outcome, Position } from "../../store/mod.ts";
import { TurnoverMap } from "../../store/_turnover_map.ts";
import { parseFence, staysHeld } from "./_fence.ts";

/** Outcomes as they are settled. */
export interface Settlement {
  /** What had been taken from the consumer when the plain acks were claimed. */
  readonly takings: string;
  /** Positions for which an ack is all that it takes. */
  readonly plain: readonly Position[];
  /** All others, each of which shows its fence. */
  readonly others: readonly Outcome[];
}

/** Every delivery that whoever claims knows of, by its position: its fence. */
export class Possessions {
  #fences = new TurnoverMap<Position, string>();
  /** Those of which the group keeps a line since they were claimed, so that an ack alone does not settle them. */
  #noted = new Set<Position>();

  note(records: readonly ClaimedRecord[]): void {
    for (const { position, fence } of records) {
      this.#fences.set(position, fence);
      if (this.#noted.size > 0) this.#noted.delete(position);
    }
  }

  has(position: Position): boolean {
    return this.#fences.has(position);
  }

  /** Whether this very delivery is held, and not another one of the same entry. */
  holds(position: Position, fence: string): boolean {
    return this.#fences.get(position) === fence;
  }

  positions(): Position[] {
    return [...this.#fences.keys()];
  }

  delete(position: Position): void {
    this.#fences.delete(position);
    if (this.#noted.size > 0) this.#noted.delete(position);
  }

  /** Sorts outcomes by what it takes to settle them. */
  sort(outcomes: readonly Outcome[]): Settlement {
    const plain: Position[] = [];
    const others: Outcome[] = [];
    let takings: string | undefined;
    for (const outcome of outcomes) {
      const { position, fence } = outcome;
      if (outcome.kind === "ack" && this.holds(position, fence) && !this.#noted.has(position)) {
        const seen = parseFence(fence);
        if (seen.plain && (takings ??= seen.takings) === seen.takings) {
          plain.push(position);
          continue;
        }
      } else if (staysHeld(outcome) && this.holds(position, fence)) {
        // From now on the group keeps a line on it, also while nobody knows yet that it does.
        this.#noted.add(position);
      }
      others.push(outcome);
    }
    return { takings: takings ?? "0", plain, others };
  }

  /** Takes note of what the store has settled, or refused. */
  settled({ plain, others }: Settlement, refused: readonly Position[]): void {
    for (const position of plain) this.delete(position);
    const unexplained = [...refused];
    for (const { position, fence } of others) {
      // A late outcome says nothing of the delivery that came after its own, and it is the one that was refused.
      const at = this.holds(position, fence) ? -1 : unexplained.indexOf(position);
      if (at !== -1) unexplained.splice(at, 1);
    }
    for (const outcome of others) {
      const { position, fence } = outcome;
      const gone = !staysHeld(outcome) || unexplained.includes(position);
      if (gone && this.holds(position, fence)) this.delete(position);
    }
  }
}
