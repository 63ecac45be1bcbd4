import type {
  AppendOptions,
  EventStore,
  Fields,
  GroupMember,
  MemberOptions,
  Position,
  ReadRange,
  StoredRecord,
  StreamAdmin,
} from "../store/mod.ts";
import { reachOf } from "../store/_reach.ts";
import { Changes } from "./connection/_changes.ts";
import { Database } from "./connection/_database.ts";
import { join } from "./consuming/_consumer.ts";
import { makeGroup } from "./consuming/_group.ts";
import { SqliteMember } from "./consuming/_member.ts";
import { append } from "./entries/_append.ts";
import { makeStream, readStream } from "./entries/_stream.ts";
import { SqliteAdmin } from "./operating/_admin.ts";

/** Options of {@linkcode SqliteStore.open}. */
export interface SqliteStoreOptions {
  /**
   * What power loss may cost. With `"normal"` the file is flushed to the disk now and then: it is never damaged, but
   * the last commits before the power failed, or the operating system crashed, may be gone, acknowledged or not. With
   * `"full"` each commit is flushed before it is acknowledged, at a fraction of the speed. The end of a process, in
   * whatever way, costs nothing with either.
   *
   * @default {"normal"}
   */
  synchronous?: "normal" | "full";
  /**
   * How long to wait, in milliseconds, while another connection keeps the file locked. The event loop goes on meanwhile.
   *
   * @default {5_000}
   */
  busyTimeout?: number;
  /**
   * How often, in milliseconds, to look for what other connections have committed, while somebody waits for it.
   *
   * @default {20}
   */
  pollInterval?: number;
  /** The store's clock, in milliseconds since the epoch. @default {Date.now} */
  now?: () => number;
}

/**
 * Streams in an SQLite file: they outlive the process, and several processes share them.
 *
 * - **Durable.** What was acknowledged survives the end of the process, `kill -9` included, and a batch is there whole
 *   or not at all. About power loss see {@linkcode SqliteStoreOptions.synchronous}.
 * - **Files.** Beside `x.db` there are `x.db-wal` and `x.db-shm` while it is open: they belong to it, so copy or move
 *   the file only when nobody has it open (or with `sqlite3 x.db ".backup …"`). Missing directories are made.
 * - **A deleted or replaced file.** SQLite goes on writing to it. So this store looks after each commit whether the file
 *   is still at its path, and rejects with `StoreError` `"storage-lost"` if not: no event is answered as stored that was
 *   committed after the file was deleted. Reads notice within a second. Two cases remain. A file that is deleted after
 *   the answer takes its events with it. If only `x.db-wal` is deleted, the latest commits are lost when the process is
 *   killed before it closes the store. Where the file was moved, a rejected event may be in the moved file.
 * - **Rows deleted by hand.** A group that had not read them is told by an `entrieslost` event, with their exact number.
 *   The deletion is not noticed if the tool has triggers switched off, drops tables or puts back an older file.
 * - **Local disks only.** Processes on one machine share the file; a network file system corrupts it sooner or later.
 * - **Several processes.** Each store has one connection. A commit in this store wakes who waits at once; one of another
 *   connection is noticed by a poll every 20 ms: measured, half of them within 13 ms, at 1 % of a core for the whole
 *   store, and only while somebody waits. A locked file is waited for without holding up the event loop: it stands still
 *   for 10 ms at most at a time. Four processes that append as fast as they can wait for less than half a second.
 * - **Permissions** in Deno: `--allow-read` and `--allow-write` for the file; for its directory too, if that is missing.
 * - **Readable.** `sqlite3 x.db "SELECT * FROM events"` shows stream, position, id and payload of every event.
 */
export class SqliteStore implements EventStore {
  #db: Database;
  #changes: Changes;
  #now: () => number;

  /**
   * Opens the file, and makes it where there is none.
   *
   * @throws {RangeError} when an option or the path is out of range.
   * @throws {Error} when the file cannot be opened or written, is not an SQLite database, belongs to another program, or
   * was made by a newer release: the message says what to do.
   * @throws {StoreError} `"transient"` when another connection keeps it locked.
   */
  static async open(path: string, options: SqliteStoreOptions = {}): Promise<SqliteStore> {
    const { synchronous = "normal", busyTimeout = 5_000, pollInterval = 20, now = Date.now } = options;
    if (path === "" || path === ":memory:") {
      throw new RangeError(
        `Cannot open "${path}": it names no file; for events in memory there is the in-memory store`,
      );
    }
    if (synchronous !== "normal" && synchronous !== "full") {
      throw new RangeError(
        `Cannot open ${path}: synchronous is "normal" or "full", not ${JSON.stringify(synchronous)}`,
      );
    }
    if (!(busyTimeout >= 0)) throw new RangeError(`Cannot open ${path}: busyTimeout is 0 or more, not ${busyTimeout}`);
    if (!(pollInterval >= 1)) {
      throw new RangeError(`Cannot open ${path}: pollInterval is 1 or more, not ${pollInterval}`);
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
    { producer, signal }: AppendOptions = {},
  ): Promise<readonly Position[]> {
    const db = this.#db;
    const positions = await db.write(() => append(db, this.#now(), stream, records, producer), signal);
    if (records.length > 0) this.#changes.ring(stream);
    return positions;
  }

  read(stream: string, range: ReadRange = {}): AsyncIterable<readonly StoredRecord[]> {
    return readStream(this.#db, this.#changes, stream, range);
  }

  async member(streamName: string, groupName: string, options: MemberOptions): Promise<GroupMember> {
    const db = this.#db;
    const { consumer: name, lease, startFrom } = options;
    const { seat, epoch } = await db.write(() => {
      const group = makeGroup(db, makeStream(db, streamName), groupName, startFrom);
      return {
        seat: join(db, this.#now(), streamName, group, { name, lease, reach: reachOf(options) }),
        epoch: group.epoch,
      };
    });
    return new SqliteMember(db, this.#changes, this.#now, seat, epoch);
  }

  admin(stream: string): StreamAdmin {
    return new SqliteAdmin(this.#db, this.#changes, this.#now, stream);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.#db.close();
    // Whoever still waits finds the store closed, and says so.
    this.#changes.ringAll();
    await closed;
  }
}
