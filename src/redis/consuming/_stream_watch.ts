import type { BlockingReader } from "./_blocking_reader.ts";

/** The surroundings of a watch. */
export interface WatchContext {
  readonly stream: string;
  /** Reads without a group, so that it takes nothing. */
  readonly reader: BlockingReader;
  /** Tells the group on which connection the consumer waits. Resolves with 1 if the group has noted it. */
  announce(connection: string): Promise<unknown>;
  /** A read is blocked: from now on other consumers can end it. */
  blocked(): void;
  /** Another consumer ended the read, because deliveries returned to the group. */
  woken(): void;
  /** There are new entries, or there was an error. */
  arrived(): void;
}

/** Waits for new entries of a stream without taking them: an exclusive consumer takes them by a script. */
export class StreamWatch {
  #context: WatchContext;
  #waiting: AbortController | undefined;
  #error: unknown;
  /** The connection that the group has noted for this consumer. */
  #announced: string | undefined;
  #closed = false;

  constructor(context: WatchContext) {
    this.#context = context;
  }

  /** The group may have forgotten the connection: the next wait announces it again. */
  announceAgain(): void {
    this.#announced = undefined;
  }

  /**
   * Waits for entries after a position, unless a wait is under way. After `close` it does nothing.
   *
   * @throws The error of the last wait, once.
   */
  wait(after: string): void {
    const error = this.#error;
    this.#error = undefined;
    if (error !== undefined) throw error;
    if (this.#waiting === undefined && !this.#closed) void this.#wait(after);
  }

  async #wait(after: string): Promise<void> {
    const { stream, reader, announce, blocked, woken, arrived } = this.#context;
    const mine = this.#waiting = new AbortController();
    try {
      const connection = await reader.connect();
      if (connection !== this.#announced) {
        const noted = await announce(connection);
        this.#announced = noted === 1 ? connection : undefined;
      }
      await reader.wait({ stream, after, limit: 1, blocked, woken }, mine.signal);
    } catch (error) {
      if (this.#waiting === mine) this.#error = error;
    } finally {
      if (this.#waiting === mine) this.#waiting = undefined;
      arrived();
    }
  }

  /** Ends the wait. */
  pause(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }

  /** Ends the wait for good. */
  close(): void {
    this.#closed = true;
    this.pause();
  }
}
