import type { BlockingReader } from "./_blocking_reader.ts";

// Redis registers all streams of a blocking read again each time the read wakes, so many streams share several reads.
const STREAMS_PER_READER = 48;

/** The blocking readers of one consumer, or of all readers without a group. Each reader serves up to 48 streams. */
export class Readers {
  #open: (stream: string) => BlockingReader;
  /** The server of each reader, and how many streams use the reader, whether or not they wait at the moment. */
  #readers = new Map<BlockingReader, { readonly place: string; streams: number }>();

  /** @param open Opens a reader for a stream and others on the same server. */
  constructor(open: (stream: string) => BlockingReader) {
    this.#open = open;
  }

  /**
   * A reader for one more stream, until `giveBack`.
   *
   * @param place The server of the stream, as the topology names it.
   */
  take(stream: string, place: string): BlockingReader {
    for (const [reader, state] of this.#readers) {
      if (state.place !== place || state.streams === STREAMS_PER_READER) continue;
      state.streams++;
      return reader;
    }
    const reader = this.#open(stream);
    this.#readers.set(reader, { place, streams: 1 });
    return reader;
  }

  /** Makes room for another stream in this reader. */
  giveBack(reader: BlockingReader): void {
    this.#readers.get(reader)!.streams--;
  }

  /** Closes all readers at once. */
  async close(): Promise<void> {
    await Promise.all([...this.#readers.keys()].map((reader) => reader.close()));
  }
}
