import type { BlockingReader } from "./_blocking_reader.ts";

// Redis registers every stream of a read again each time it wakes: many streams are read by several connections.
const STREAMS_PER_READER = 48;

/** The blocking readers of those who share what they read by: each reads some tens of streams. */
export class Readers {
  #make: () => BlockingReader;
  /** How many streams each is for, whether or not it waits for them right now. */
  #streams = new Map<BlockingReader, number>();

  constructor(make: () => BlockingReader) {
    this.#make = make;
  }

  /** A reader that has room for one more stream, until that is given back. */
  take(): BlockingReader {
    for (const [reader, streams] of this.#streams) {
      if (streams === STREAMS_PER_READER) continue;
      this.#streams.set(reader, streams + 1);
      return reader;
    }
    const reader = this.#make();
    this.#streams.set(reader, 1);
    return reader;
  }

  /** Gives back the room of one stream. */
  giveBack(reader: BlockingReader): void {
    this.#streams.set(reader, this.#streams.get(reader)! - 1);
  }

  /** Ends all of them at once. */
  async close(): Promise<void> {
    await Promise.all([...this.#streams.keys()].map((reader) => reader.close()));
  }
}
