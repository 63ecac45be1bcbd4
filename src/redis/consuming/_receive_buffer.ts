import type { Position, StoredRecord } from "../../store/mod.ts";
import type { BlockingReader } from "./_blocking_reader.ts";
import type { Reply } from "../connection/client.ts";
import { parseEntries } from "../connection/_replies.ts";
import type { Route } from "../connection/_topology.ts";

const LARGE_BATCH = 64;

// Generation of batches from cancelled reads. Nobody knows when they were sent, so it differs from all real generations.
const UNKNOWN_GENERATION = -1;

/** The records of one read. */
export interface Batch {
  readonly records: readonly StoredRecord[];
  /**
   * The consumer's generation when the read was sent. A blocked read also gets entries after the consumer was given up
   * for dead, and other consumers may take these before it learns of that.
   */
  readonly generation: number;
}

/** The surroundings of a receive buffer. */
export interface BufferContext {
  readonly link: Route;
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  readonly reader: BlockingReader;
  /** The consumer's generation, as far as it knows. */
  generation(): number;
  /** Tells the group on which connection the consumer waits. Resolves with 1 if the group has noted it. */
  announce(connection: string): Promise<unknown>;
  /** A read is blocked: from now on other consumers can end it. */
  blocked(): void;
  /** Another consumer ended the read, because deliveries returned to the group. */
  woken(): void;
  /** The wait has ended: there are records to take, or an error. */
  arrived(): void;
  /** A read failed. It may have taken entries. */
  failed(): void;
}

/** Reads a consumer's new entries, at once or by waiting, and keeps them until `take`. */
export class ReceiveBuffer {
  #context: BufferContext;
  #kept: Batch[] = [];
  #unconfirmed = false;
  /** Aborts the wait that is under way. */
  #waiting: AbortController | undefined;
  /** The error of the last wait, until `take` throws it. */
  #error: unknown;
  #last: Position | undefined;
  #mayHaveMore = true;
  #flowing = false;
  /** The connection that the group has noted for this consumer. */
  #announced: string | undefined;
  #closed = false;

  constructor(context: BufferContext) {
    this.#context = context;
  }

  /** Positions of the records that are kept. */
  get kept(): Position[] {
    return this.#kept.flatMap(({ records }) => records.map(({ position }) => position));
  }

  /** Whether records were kept since the last check of the group's state: a rewind may have come before their read. */
  get unconfirmed(): boolean {
    return this.#unconfirmed;
  }

  /** The group's state is about to be checked, after the read of all records that are kept. */
  confirm(): void {
    this.#unconfirmed = false;
  }

  /** The last position taken. The group goes on after it if the store loses both the group and its checkpoint. */
  get last(): Position | undefined {
    return this.#last;
  }

  /** Whether a wait is under way. */
  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Whether reading at once may find entries. */
  get mayHaveMore(): boolean {
    return this.#mayHaveMore && !this.waiting;
  }

  /**
   * Takes at most `limit` of the records that are kept; undefined if there are none.
   *
   * @throws The error of the last wait, once.
   */
  take(limit: number): Batch | undefined {
    const batch = this.#kept.shift();
    if (batch === undefined) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      return undefined;
    }
    const { records, generation } = batch;
    if (records.length > limit) this.#kept.unshift({ records: records.slice(limit), generation });
    return this.#took({ records: records.slice(0, limit), generation });
  }

  /** Keeps the records of a read. */
  keep(batch: Batch): void {
    if (batch.records.length > 0) {
      this.#kept.push(batch);
      this.#unconfirmed = true;
    }
    this.#context.arrived();
  }

  /** Keeps records that came after their wait had ended. */
  spill(records: readonly StoredRecord[]): void {
    this.keep({ records, generation: UNKNOWN_GENERATION });
  }

  /** Drops all records: the group that they were read from is gone. */
  clear(): void {
    this.#kept = [];
    this.#error = undefined;
  }

  /** Whether the last read at once brought a large batch, so that there is a backlog. */
  get flowing(): boolean {
    return this.#flowing;
  }

  /** Reads entries that are there now. After `close` it reads nothing. */
  async readAtOnce(limit: number): Promise<Batch> {
    const { link, stream, group, consumer } = this.#context;
    const generation = this.#context.generation();
    if (this.#closed) return { records: [], generation };
    const command = ["XREADGROUP", "GROUP", group, consumer, "COUNT", String(limit), "STREAMS", stream, ">"];
    try {
      const reply = await link.send(command);
      const records = Array.isArray(reply) ? parseEntries((reply[0] as readonly Reply[])[1]!) : [];
      this.#mayHaveMore = records.length === limit;
      this.#flowing = records.length >= LARGE_BATCH;
      return this.#took({ records, generation });
    } catch (error) {
      this.#context.failed();
      throw error;
    }
  }

  #took(batch: Batch): Batch {
    this.#last = batch.records.at(-1)?.position ?? this.#last;
    return batch;
  }

  /** The group may have forgotten the connection: the next wait announces it again. */
  announceAgain(): void {
    this.#announced = undefined;
  }

  /** Waits for new entries and keeps them, unless a wait is under way. After `close` it does nothing. */
  wait(limit: number): void {
    if (this.#waiting === undefined && !this.#closed) void this.#wait(limit);
  }

  async #wait(limit: number): Promise<void> {
    const { stream, reader, announce, blocked, woken, arrived, failed } = this.#context;
    const mine = this.#waiting = new AbortController();
    try {
      const connection = await reader.connect();
      if (connection !== this.#announced) {
        const noted = await announce(connection);
        this.#announced = noted === 1 ? connection : undefined;
      }
      const generation = this.#context.generation();
      const records = await reader.wait({ stream, after: ">", limit, blocked, woken }, mine.signal);
      if (!mine.signal.aborted) this.#mayHaveMore = records.length === limit;
      this.keep({ records, generation });
    } catch (error) {
      this.#error = error;
      failed();
    } finally {
      if (this.#waiting === mine) this.#waiting = undefined;
      arrived();
    }
  }

  /** Ends the wait, so that nothing is read that nobody asked for. Records that arrive just now are kept. */
  pause(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }

  /** Resolves once no read of a wait that has ended is in flight. */
  async ended(): Promise<void> {
    await this.#context.reader.ended(this.#context.stream);
  }

  /** Ends the wait for good, and resolves once no read is in flight that could take entries. */
  async close(): Promise<void> {
    this.#closed = true;
    this.pause();
    await this.ended();
  }
}
