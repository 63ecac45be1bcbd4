import type {
  AppendOptions,
  EventStore,
  Fields,
  GroupMember,
  Limiter,
  MemberOptions,
  Position,
  ReadRange,
  Revised,
  RevisedOptions,
  RevisedRecord,
  SharedState,
  StoredRecord,
  StreamAdmin,
  StreamSchedule,
  SubjectRange,
} from "../store/mod.ts";
import { layoutChanged } from "../store/_producer.ts";
import { reachOf } from "../store/_reach.ts";
import { Changes } from "./connection/_changes.ts";
import { Database } from "./connection/_database.ts";
import { endOthers } from "./consuming/_claim.ts";
import { join } from "./consuming/_consumer.ts";
import { makeGroup, termsOf } from "./consuming/_group.ts";
import { assertTerms } from "../store/_groups.ts";
import { SqliteMember } from "./consuming/_member.ts";
import { append } from "./entries/_append.ts";
import { makeStream, readStream } from "./entries/_stream.ts";
import { SqliteSchedule } from "./entries/_schedule.ts";
import { SqliteLimiter } from "./entries/_limiter.ts";
import { SqliteState } from "./entries/_state.ts";
import { appendRevised, lastRevision, readSubject } from "./entries/_subjects.ts";
import { SqliteAdmin } from "./operating/_admin.ts";

// The longest delay of a timer, in milliseconds: a longer one would fire at once.
const LONGEST_DELAY = 2 ** 31 - 1;

/** Options of {@linkcode SqliteStore.open}. */
export interface SqliteStoreOptions {
  /**
   * What a power failure or a crash of the operating system may cost. With `"normal"`, SQLite flushes the file to the
   * disk from time to time: the file is never damaged, but the last commits may be lost, although they were acknowledged.
   * With `"full"`, SQLite flushes each commit before it is acknowledged, which is much slower. A process that ends or is
   * killed loses nothing with either.
   *
   * @default {"normal"}
   */
  synchronous?: "normal" | "full";
  /**
   * How long to wait, in milliseconds, while another connection keeps the file locked. The event loop runs meanwhile.
   * After that time calls reject with `StoreError` `"transient"`.
   *
   * @default {5_000}
   */
  busyTimeout?: number;
  /**
   * How often, in milliseconds, to look for commits of other connections while a reader or a consumer waits. At least 1.
   *
   * @default {20}
   */
  pollInterval?: number;
  /** The clock of the store: returns milliseconds since the epoch. @default {Date.now} */
  now?: () => number;
}

/**
 * Stores events in an SQLite file. They outlive the process, and several processes on one machine share them.
 *
 * - **Durable.** Acknowledged events survive the end of the process, `kill -9` included. A batch is stored whole or not
 *   at all. For power failures see {@linkcode SqliteStoreOptions.synchronous}.
 * - **Files.** While `x.db` is open, `x.db-wal` and `x.db-shm` stand beside it and belong to it. Copy or move the file only
 *   while no process has it open, or use `sqlite3 x.db ".backup …"`. Missing directories are created.
 * - **A deleted or replaced file.** SQLite goes on writing to such a file. So the store checks after each commit that the
 *   file is still at its path, and rejects with `StoreError` `"storage-lost"` if it is not: an event that was committed
 *   after the deletion is never acknowledged. Reads notice within a second. Two cases remain. A file that is deleted after
 *   the acknowledgement takes its events with it. If only `x.db-wal` is deleted, and the process is killed before it
 *   closes the store, the latest commits are lost. If the file was moved, a rejected event may be in the moved file.
 * - **Rows deleted by hand.** A group that had not read them gets an `entrieslost` event with their exact number. The store
 *   cannot notice the deletion if the tool disabled triggers, dropped tables or restored an older file.
 * - **Local disks only.** Processes on one machine share the file. A network file system corrupts it sooner or later.
 * - **Several processes.** Each store has one connection. A commit of this store wakes its own readers and consumers at
 *   once. A commit of another connection is noticed by a poll every 20 ms, which runs only while a reader or a consumer
 *   waits: half of the commits were noticed within 13 ms, at 1 % of a core for the whole store. While the file is locked,
 *   the event loop is blocked for at most 10 ms at a time. Four processes that append as fast as they can wait for less
 *   than half a second.
 * - **Permissions** in Deno: `--allow-read` and `--allow-write` for the file, and for its directory if that is missing.
 * - **Readable.** `sqlite3 x.db "SELECT * FROM events"` shows stream, position, id and payload of every event.
 *
 * @example Events that outlive the process
 * ```ts
 * import { defineEvent, EventBroker } from "@tidings/broker";
 * import { SqliteStore } from "@tidings/broker/sqlite";
 * import { assertEquals } from "@std/assert";
 *
 * class BidPlaced extends defineEvent("BidPlaced")<{ amount: number }> {}
 *
 * const directory = await Deno.makeTempDir();
 * {
 *   await using store = await SqliteStore.open(`${directory}/events.db`, { synchronous: "full" });
 *   await using broker = new EventBroker(store, { events: [BidPlaced] });
 *   await broker.publish(new BidPlaced({ amount: 100 }));
 * }
 * {
 *   await using store = await SqliteStore.open(`${directory}/events.db`);
 *   await using broker = new EventBroker(store, { events: [BidPlaced] });
 *   const [event] = await Array.fromAsync(broker.history(BidPlaced));
 *   assertEquals(event?.detail.amount, 100);
 * }
 * await Deno.remove(directory, { recursive: true });
 * ```
 */
export class SqliteStore implements EventStore {
  #db: Database;
  #changes: Changes;
  #now: () => number;

  /**
   * Opens the file. Creates the file and its directory if they are missing.
   *
   * @throws {RangeError} If the path names no file, or an option is out of range.
   * @throws {Error} If the file cannot be opened or written, is not an SQLite database, belongs to another program, or was
   * written by a newer release. The message says what to do.
   * @throws {StoreError} `"transient"` if another connection keeps the file locked for longer than `busyTimeout`, or if
   * the disk is full.
   */
  static async open(path: string, options: SqliteStoreOptions = {}): Promise<SqliteStore> {
    const { synchronous = "normal", busyTimeout = 5_000, pollInterval = 20, now = Date.now } = options;
    if (path === "" || path === ":memory:") {
      throw new RangeError(
        `Cannot open "${path}": it names no file; give a path, or keep events in memory with connect("memory:")`,
      );
    }
    if (synchronous !== "normal" && synchronous !== "full") {
      throw new RangeError(`Cannot use ${JSON.stringify(synchronous)} as synchronous: give "normal" or "full"`);
    }
    if (!(busyTimeout >= 0)) {
      throw new RangeError(`Cannot use ${busyTimeout} as busyTimeout (ms): give a number of at least 0`);
    }
    if (!(pollInterval >= 1 && pollInterval <= LONGEST_DELAY)) {
      throw new RangeError(
        `Cannot use ${pollInterval} as pollInterval (ms): give a number from 1 to ${LONGEST_DELAY}`,
      );
    }
    return new SqliteStore(
      await Database.open(path, { synchronous, busyTimeout }),
      pollInterval,
      () => Math.floor(now()),
    );
  }

  private constructor(db: Database, pollInterval: number, now: () => number) {
    this.#db = db;
    this.#now = now;
    this.#changes = new Changes(() => db.dataVersion(), pollInterval);
  }

  async append(
    stream: string,
    records: readonly Fields[],
    options: AppendOptions = {},
  ): Promise<readonly Position[]> {
    const db = this.#db;
    const positions = await db.write(() => append(db, this.#now(), stream, records, options), options.signal);
    if (positions === undefined) throw layoutChanged(stream, options.layout);
    if (records.length > 0) this.#changes.wake(stream);
    return positions;
  }

  async appendRevised(
    stream: string,
    records: readonly RevisedRecord[],
    options: RevisedOptions = {},
  ): Promise<readonly Revised[]> {
    const db = this.#db;
    const revised = await db.write(() => appendRevised(db, this.#now(), stream, records, options), options.signal);
    if (revised instanceof Error) throw revised;
    if (records.length > 0) this.#changes.wake(stream);
    return revised;
  }

  revision(stream: string, subject: string): Promise<number> {
    return lastRevision(this.#db, stream, subject);
  }

  readSubject(stream: string, subject: string, range: SubjectRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return readSubject(this.#db, stream, subject, range);
  }

  read(stream: string, range: ReadRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return readStream(this.#db, this.#changes, stream, range);
  }

  async member(streamName: string, groupName: string, options: MemberOptions): Promise<GroupMember> {
    const db = this.#db;
    const { consumer: name, lease, exclusive = false } = options;
    const { seat, epoch } = await db.write(() => {
      const group = makeGroup(db, makeStream(db, streamName), groupName, options);
      assertTerms(groupName, streamName, termsOf(group), options);
      const now = this.#now();
      const seat = join(db, now, streamName, group, {
        name,
        lease,
        terms: options,
        reach: reachOf(options),
        exclusive,
      });
      // All others are dead. They lose their deliveries at once, so that none of them settles beside this consumer.
      if (exclusive) endOthers(db, now, group);
      return { seat, epoch: group.epoch };
    });
    return new SqliteMember(db, this.#changes, this.#now, seat, epoch);
  }

  admin(stream: string): StreamAdmin {
    return new SqliteAdmin(this.#db, this.#changes, this.#now, stream);
  }

  state(stream: string, name: string): SharedState {
    return new SqliteState(this.#db, this.#now, stream, name);
  }

  schedule(stream: string, layout?: number): StreamSchedule {
    return new SqliteSchedule(this.#db, this.#changes, this.#now, { stream, layout });
  }

  limiter(stream: string, name: string): Limiter {
    return new SqliteLimiter(this.#db, this.#now, stream, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#db.close();
    // Readers and members that still wait wake up, and reject because the store is closed.
    this.#changes.wakeAll();
    await closed;
  }
}
