import type { ClaimedRecord, Outcome, Position } from "../../store/mod.ts";
import { TurnoverMap } from "../../store/_turnover_map.ts";
import { parseFence, staysHeld } from "./_fence.ts";

/** Outcomes, sorted by how the script SETTLE takes them. */
export interface Settlement {
  /** The consumer's generation when the deliveries of `plain` were claimed. */
  readonly generation: string;
  /** Positions of deliveries that XACK alone settles. */
  readonly plain: readonly Position[];
  /** How many of these are of none of the group's types. */
  readonly skipped: number;
  /** All other outcomes, which are sent with their fences. */
  readonly others: readonly Outcome[];
}

/** Fences of the deliveries held by this consumer, by position. */
export class HeldClaims {
  #fences = new TurnoverMap<Position, string>();
  /** Deliveries of which the group keeps state since they were claimed, so that XACK alone no longer settles them. */
  #withState = new Set<Position>();

  /** Adds claimed deliveries. */
  add(records: readonly ClaimedRecord[]): void {
    for (const { position, fence } of records) {
      this.#fences.set(position, fence);
      if (this.#withState.size > 0) this.#withState.delete(position);
    }
  }

  /** The group may keep state of this delivery from now on. */
  keepsState(position: Position): void {
    this.#withState.add(position);
  }

  /** Whether a delivery of this entry is held. */
  has(position: Position): boolean {
    return this.#fences.has(position);
  }

  /** Whether exactly this delivery is held, and not another one of the same entry. */
  holds(position: Position, fence: string): boolean {
    return this.#fences.get(position) === fence;
  }

  positions(): Position[] {
    return [...this.#fences.keys()];
  }

  delete(position: Position): void {
    this.#fences.delete(position);
    if (this.#withState.size > 0) this.#withState.delete(position);
  }

  /** Separates deliveries that XACK alone settles from the other outcomes. */
  sort(outcomes: readonly Outcome[]): Settlement {
    const plain: Position[] = [];
    const others: Outcome[] = [];
    let skipped = 0;
    let generation: string | undefined;
    for (const outcome of outcomes) {
      const { position, fence } = outcome;
      if (
        (outcome.kind === "ack" || outcome.kind === "skip") && this.holds(position, fence) &&
        !this.#withState.has(position)
      ) {
        const claimed = parseFence(fence);
        if (claimed.plain && (generation ??= claimed.generation) === claimed.generation) {
          plain.push(position);
          if (outcome.kind === "skip") skipped++;
          continue;
        }
      } else if (staysHeld(outcome) && this.holds(position, fence)) {
        // Noted before the reply: if the reply is lost, the group may have state of the delivery.
        this.#withState.add(position);
      }
      others.push(outcome);
    }
    return { generation: generation ?? "0", plain, skipped, others };
  }

  /** Removes deliveries that the store has settled or refused. */
  settled({ plain, others }: Settlement, refused: readonly Position[]): void {
    for (const position of plain) this.delete(position);
    const unexplained = [...refused];
    for (const { position, fence } of others) {
      // A refused outcome of an older delivery says nothing about the delivery that is held now.
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
