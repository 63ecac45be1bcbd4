import type { BlockingReader } from "./_blocking_reader.ts";

// Redis registers every stream of a read again each time it wakes: many streams are read by several connections.
const STREAMS_PER_READER = 48;

/** The blocking readers of those who share what they read by: each reads some tens of streams. */
export class Readers {
  #make: (stream: string) => BlockingReader;
  /** How many streams each is for, whether or not it waits for them right now, and where they are. */
  #readers = new Map<BlockingReader, { readonly place: string; streams: number }>();

  /** @param make Makes a reader of this stream, and of others in the same place. */
  constructor(make: (stream: string) => BlockingReader) {
    this.#make = make;
  }

  /** A reader that has room for one more stream in this place, until that is given back. */
  take(stream: string, place: string): BlockingReader {
    for (const [reader, state] of this.#readers) {
      if (state.place !== place || state.streams === STREAMS_PER_READER) continue;
      state.streams++;
      return reader;
    }
    const reader = this.#make(stream);
    this.#readers.set(reader, { place, streams: 1 });
    return reader;
  }

  /** Gives back the room of one stream. */
  giveBack(reader: BlockingReader): void {
    this.#readers.get(reader)!.streams--;
  }

  /** Ends all of them at once. */
  async close(): Promise<void> {
    await Promise.all([...this.#readers.keys()].map((reader) => reader.close()));
  }
}
