import type { DeadLetterBox, DiscardOptions, Fields, LetterRecord, Outcome } from "../store/mod.ts";
import type { MemoryGroup } from "./_group.ts";
import type { Pending } from "./_pending.ts";
import type { MemoryStream } from "./_stream.ts";

/** The dead letter of a delivery that its consumer gave up. */
export function letterOf(
  pending: Pending,
  { reason, attempts, error, key }: Outcome & { kind: "dead" },
  now: number,
  id: string,
  fields: Fields,
): LetterRecord {
  return {
    id,
    position: pending.position,
    fields,
    reason,
    attempts,
    error,
    consumer: pending.owner!.storeName,
    firstFailedAt: pending.firstFailedAt ?? now,
    // For reason "died" the failure was the consumer's death, counted at recovery; every other failure is this one.
    lastFailedAt: reason === "died" ? pending.lastFailedAt ?? now : now,
    ...(key !== undefined && { key }),
  };
}

/** The dead letters of one group in memory. */
export class MemoryLetterBox implements DeadLetterBox {
  #stream: MemoryStream;
  #name: string;

  constructor(stream: MemoryStream, name: string) {
    this.#stream = stream;
    this.#name = name;
  }

  get #group(): MemoryGroup | undefined {
    return this.#stream.groups.get(this.#name);
  }

  async *list({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<readonly LetterRecord[]> {
    signal?.throwIfAborted();
    const page = this.#select();
    if (page.length > 0) yield page;
  }

  #select(ids?: readonly string[]): LetterRecord[] {
    const letters = this.#group?.letters ?? new Map<string, LetterRecord>();
    if (ids === undefined) return [...letters.values()];
    return [...new Set(ids)].map((id) => letters.get(id)).filter((letter) => letter !== undefined);
  }

  redrive(ids?: readonly string[]): Promise<number> {
    const letters = this.#select(ids);
    this.#group?.redrive(letters);
    return Promise.resolve(letters.length);
  }

  discard(
    { ids, maxAge = Infinity, maxLength = Infinity }: DiscardOptions = {},
  ): Promise<number> {
    const letters = this.#select(ids);
    const bounded = maxAge !== Infinity || maxLength !== Infinity;
    const now = this.#stream.now();
    const doomed = letters.filter(({ lastFailedAt }, index) =>
      !bounded || index < letters.length - maxLength || lastFailedAt < now - maxAge
    );
    this.#group?.discard(doomed);
    return Promise.resolve(doomed.length);
  }
}
