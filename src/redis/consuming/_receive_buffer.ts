import type { Position, StoredRecord } from "../../store/mod.ts";
import type { BlockingReader } from "./_blocking_reader.ts";
import type { Reply } from "../connection/client.ts";
import { parseEntries } from "../connection/_replies.ts";
import type { Route } from "../connection/_topology.ts";

const LARGE_BATCH = 64;

// What came for a read that nobody waits for any more: when it was sent is not known, and so this was never its count.
const UNKNOWN_TAKINGS = -1;

/** What one read brought. */
export interface Batch {
  readonly records: readonly StoredRecord[];
  /**
   * How much had been taken from the consumer when the read was sent. A read that waits gets entries also after the
   * consumer was given up, and others may take those before it learns of them.
   */
  readonly takings: number;
}

/** What an intake needs of its member. */
export interface IntakeContext {
  readonly link: Route;
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  readonly reader: BlockingReader;
  /** How much has been taken from the consumer, as far as it knows. */
  takings(): number;
  /** Has the store know by which connection the consumer waits. */
  announce(connection: string): Promise<unknown>;
  /** A read waits: from now on somebody can end it. */
  blocked(): void;
  /** Somebody ended the wait: something came back. */
  woken(): void;
  /** There is something to look at: what was read, or why nothing could be. */
  arrived(): void;
  /** A read failed, and may have taken what nobody knows of. */
  failed(): void;
}

/** A consumer's new entries: read at once or waited for, and kept until somebody asks for them. */
export class Intake {
  #context: IntakeContext;
  #kept: Batch[] = [];
  #unconfirmed = false;
  /** The wait under way. */
  #waiting: AbortController | undefined;
  #error: unknown;
  /** The last position that was read: where the group goes on, should the store lose both it and its checkpoint. */
  #last: Position | undefined;
  /** Whether there may be more, so that a read need not wait; to begin with there may. */
  #mayHaveMore = true;
  #flowing = false;
  #announced: string | undefined;
  #closed = false;

  constructor(context: IntakeContext) {
    this.#context = context;
  }

  /** Where stands what was read and nobody has asked for yet. */
  get kept(): Position[] {
    return this.#kept.flatMap(({ records }) => records.map(({ position }) => position));
  }

  /** Whether something was kept since the bell was asked for: it may be what a rewind brought. */
  get unconfirmed(): boolean {
    return this.#unconfirmed;
  }

  /** The bell was asked for after what is kept was read. */
  confirm(): void {
    this.#unconfirmed = false;
  }

  get last(): Position | undefined {
    return this.#last;
  }

  get waiting(): boolean {
    return this.#waiting !== undefined;
  }

  /** Whether a read would bring something at once, as far as anybody can tell. */
  get mayHaveMore(): boolean {
    return this.#mayHaveMore && !this.waiting;
  }

  /**
   * Some of what is kept; undefined if that is nothing.
   *
   * @throws What waiting failed with, once.
   */
  take(limit: number): Batch | undefined {
    const batch = this.#kept.shift();
    if (batch === undefined) {
      const error = this.#error;
      this.#error = undefined;
      if (error !== undefined) throw error;
      return undefined;
    }
    const { records, takings } = batch;
    if (records.length > limit) this.#kept.unshift({ records: records.slice(limit), takings });
    return this.#took({ records: records.slice(0, limit), takings });
  }

  /** Keeps what a read brought. */
  keep(batch: Batch): void {
    if (batch.records.length > 0) {
      this.#kept.push(batch);
      this.#unconfirmed = true;
    }
    this.#context.arrived();
  }

  /** Keeps what came for a wait that had ended. */
  spill(records: readonly StoredRecord[]): void {
    this.keep({ records, takings: UNKNOWN_TAKINGS });
  }

  /** What was kept is nobody's any more. */
  forget(): void {
    this.#kept = [];
    this.#error = undefined;
  }

  /** Whether the last read brought a large batch, so that there is a backlog. */
  get flowing(): boolean {
    return this.#flowing;
  }

  /** Reads what is there. */
  async readAtOnce(limit: number): Promise<Batch> {
    const { link, stream, group, consumer } = this.#context;
    const takings = this.#context.takings();
    if (this.#closed) return { records: [], takings };
    const command = ["XREADGROUP", "GROUP", group, consumer, "COUNT", String(limit), "STREAMS", stream, ">"];
    try {
      const reply = await link.send(command);
      const records = Array.isArray(reply) ? parseEntries((reply[0] as readonly Reply[])[1]!) : [];
      this.#mayHaveMore = records.length === limit;
      this.#flowing = records.length >= LARGE_BATCH;
      return this.#took({ records, takings });
    } catch (error) {
      this.#context.failed();
      throw error;
    }
  }

  #took(batch: Batch): Batch {
    this.#last = batch.records.at(-1)?.position ?? this.#last;
    return batch;
  }

  /** Nobody may know any more by which connection the consumer waits: it says so with its next wait. */
  announceAgain(): void {
    this.#announced = undefined;
  }

  /** Waits for new entries, unless it does already; what comes is kept. */
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
      const takings = this.#context.takings();
      const records = await reader.wait({ stream, after: ">", limit, blocked, woken }, mine.signal);
      if (!mine.signal.aborted) this.#mayHaveMore = records.length === limit;
      this.keep({ records, takings });
    } catch (error) {
      this.#error = error;
      failed();
    } finally {
      if (this.#waiting === mine) this.#waiting = undefined;
      arrived();
    }
  }

  /** Ends the wait for good, and resolves once no read is in flight that could take entries. */
  async close(): Promise<void> {
    this.#closed = true;
    this.pause();
    await this.#context.reader.ended(this.#context.stream);
  }

  /** Ends the wait: nothing is taken that nobody asked for; what comes in this moment is kept. */
  pause(): void {
    this.#waiting?.abort();
    this.#waiting = undefined;
  }
}
