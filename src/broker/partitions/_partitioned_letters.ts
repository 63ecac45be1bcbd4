import type { DeadLetterBox, DiscardOptions, LetterRecord } from "../../store/mod.ts";

/** Does the same in each partition; resolves with the results by partition. */
type InEach = <T>(action: string, act: (partition: number) => Promise<T>) => Promise<T[]>;

/** How many letters a merged page has at most. */
const PAGE = 100;

/** The dead letters of a group in all partitions. The id of a letter is `<partition>/<id in the partition>`. */
export class PartitionedLetters implements DeadLetterBox {
  /** The numbers of the partitions; "" for the stream from before there were partitions. */
  #numbers: readonly string[];
  /** In the same order. */
  #boxes: readonly DeadLetterBox[];
  #inEach: InEach;

  /** @param inEach Does the same in each partition, in the order of `boxes`. */
  constructor(boxes: ReadonlyMap<string, DeadLetterBox>, inEach: InEach) {
    this.#numbers = [...boxes.keys()];
    this.#boxes = [...boxes.values()];
    this.#inEach = inEach;
  }

  /** Merges the letters of all partitions by the time of their last failure. */
  async *list(options?: { readonly signal?: AbortSignal }): AsyncIterable<readonly LetterRecord[]> {
    const sources = this.#boxes.map((box, nth) => new Letters(box, this.#numbers[nth]!, options));
    try {
      await Promise.all(sources.map((source) => source.fill()));
      let page: LetterRecord[] = [];
      for (;;) {
        let oldest: Letters | undefined;
        for (const source of sources) {
          if (source.head !== undefined && (oldest === undefined || isBefore(source.head, oldest.head!))) {
            oldest = source;
          }
        }
        if (oldest === undefined) break;
        page.push(oldest.take());
        if (page.length === PAGE) {
          yield page;
          page = [];
        }
        if (oldest.head === undefined) await oldest.fill();
      }
      if (page.length > 0) yield page;
    } finally {
      await Promise.all(sources.map((source) => source.close()));
    }
  }

  async redrive(ids?: readonly string[]): Promise<number> {
    if (ids !== undefined) return await this.#each("redrive dead letters", ids, (box, own) => box.redrive(own));
    return sum(await this.#inEach("redrive dead letters", (nth) => this.#boxes[nth]!.redrive()));
  }

  async discard({ ids, maxAge, maxLength }: DiscardOptions = {}): Promise<number> {
    const action = "discard dead letters";
    const discard = (own: readonly string[]) => this.#each(action, own, (box, named) => box.discard({ ids: named }));
    if (ids !== undefined) return await discard(ids);
    let discarded = 0;
    if (maxAge !== undefined || maxLength === undefined) {
      const bound = maxAge === undefined ? {} : { maxAge };
      discarded += sum(await this.#inEach(action, (nth) => this.#boxes[nth]!.discard(bound)));
    }
    if (maxLength === undefined) return discarded;
    // The bound is for all partitions together: their oldest letters go.
    const kept: string[] = [];
    for await (const page of this.list()) kept.push(...page.map(({ id }) => id));
    return discarded + await discard(kept.slice(0, Math.max(0, kept.length - maxLength)));
  }

  /** Acts on the letters with these ids in each partition that has some. */
  async #each(
    action: string,
    ids: readonly string[],
    act: (box: DeadLetterBox, own: readonly string[]) => Promise<number>,
  ): Promise<number> {
    // An id without a partition is of no letter here.
    const own = Map.groupBy(ids.filter((id) => id.includes("/")), (id) => id.slice(0, id.indexOf("/")));
    return sum(
      await this.#inEach(action, async (nth) => {
        const named = own.get(this.#numbers[nth]!)?.map((id) => id.slice(id.indexOf("/") + 1)) ?? [];
        return named.length === 0 ? 0 : await act(this.#boxes[nth]!, named);
      }),
    );
  }
}

/** The letters of one partition, in order. */
class Letters {
  #partition: string;
  #pages: AsyncIterator<readonly LetterRecord[]>;
  #page: readonly LetterRecord[] = [];
  #next = 0;

  constructor(box: DeadLetterBox, partition: string, options: { readonly signal?: AbortSignal } | undefined) {
    this.#partition = partition;
    this.#pages = box.list(options)[Symbol.asyncIterator]();
  }

  /** The oldest letter that was not taken; undefined when the page is empty. */
  get head(): LetterRecord | undefined {
    return this.#page[this.#next];
  }

  /** Takes the head. */
  take(): LetterRecord {
    const letter = this.#page[this.#next++]!;
    return { ...letter, id: `${this.#partition}/${letter.id}` };
  }

  /** Fetches the next page. */
  async fill(): Promise<void> {
    const { value, done } = await this.#pages.next();
    this.#page = done ? [] : value;
    this.#next = 0;
  }

  async close(): Promise<void> {
    await this.#pages.return?.();
  }
}

function isBefore(a: LetterRecord, b: LetterRecord): boolean {
  return a.lastFailedAt < b.lastFailedAt;
}

function sum(counts: readonly number[]): number {
  return counts.reduce((total, count) => total + count, 0);
}
