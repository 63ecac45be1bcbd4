import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { Bell } from "../../store/_bell.ts";
import { cannotOpen, explain, fileLost, isBusy, stillBusy } from "./_errors.ts";
import { checkSchema, makeSchema } from "./_schema.ts";

// How long SQLite itself may wait for a lock, in milliseconds: the event loop stands still meanwhile. It outlasts the
// usual transaction of another process; what takes longer is waited for without blocking.
const BLOCKING_WAIT = 10;
const LONGEST_PAUSE = 25;
const FILE_CHECK_INTERVAL = 1_000;

/** How to open the file. */
export interface DatabaseOptions {
  readonly synchronous: "normal" | "full";
  readonly busyTimeout: number;
}

/** One connection to the file: transactions that wait for other connections without blocking the event loop. */
export class Database {
  readonly path: string;
  #db: DatabaseSync;
  #file: Stats;
  #fileLost = false;
  #checkedAt: number = performance.now();
  #statements = new Map<string, StatementSync>();
  #busyTimeout: number;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #underWay = new Set<Promise<unknown>>();
  #pauses = new Bell();
  #closed = false;

  /** Opens the file, making it, its directory and its tables where they are missing. */
  static async open(path: string, { synchronous, busyTimeout }: DatabaseOptions): Promise<Database> {
    const file = resolve(path);
    const db = new Database(file, openFile(file), busyTimeout);
    try {
      // Looked at before anything is written: another program's file is left as it was.
      await db.read(() => checkSchema(db));
      await db.#insist(() => db.#useWriteAheadLog());
      db.exec(`PRAGMA synchronous = ${synchronous}`);
      await db.write(() => makeSchema(db));
      return db;
    } catch (error) {
      await db.close();
      throw error;
    }
  }

  private constructor(path: string, db: DatabaseSync, busyTimeout: number) {
    this.path = path;
    this.#db = db;
    this.#busyTimeout = busyTimeout;
    this.#file = statSync(path);
    db.exec(`PRAGMA busy_timeout = ${BLOCKING_WAIT}`);
  }

  #useWriteAheadLog(): void {
    const mode = this.get<{ journal_mode: string }>("PRAGMA journal_mode = WAL")!.journal_mode;
    if (mode === "wal") return;
    throw new Error(
      `Cannot open ${this.path}: its file system cannot share memory between processes; use a local disk`,
    );
  }

  /** Runs statements that take no values. */
  exec(sql: string): void {
    this.#db.exec(sql);
  }

  /** The first row. */
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  /** All rows. */
  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Runs a statement; returns how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  /** Changes whenever another connection has committed something; a commit of this one leaves it as it is. */
  dataVersion(): number {
    this.#assertUsable();
    return this.get<{ data_version: number }>("PRAGMA data_version")!.data_version;
  }

  /** Runs `look` on one state of the file. */
  read<T>(look: () => T): Promise<T> {
    return this.#track(this.#insist(() => this.#transact("BEGIN", look)));
  }

  /**
   * Runs `change` as one transaction, those of this connection in the order of the calls. Rejects with a `"transient"`
   * StoreError when other connections did not let it through in time, and with the reason of `signal` when that aborts
   * before its turn comes; nothing was changed then. Rejects with `"storage-lost"` when the file was deleted or replaced
   * before the transaction was committed.
   */
  write<T>(change: () => T, signal?: AbortSignal): Promise<T> {
    const deadline = performance.now() + this.#busyTimeout;
    let started = false;
    const work = () => {
      started = true;
      return this.#insist(
        () => {
          const result = this.#transact("BEGIN IMMEDIATE", change);
          // SQLite also commits to a file that was deleted: its success alone does not say that anything is stored.
          this.#assertFileIsThere();
          return result;
        },
        deadline,
        signal,
      );
    };
    // Whether the one before succeeded is its caller's business.
    const written = this.#track(this.#lastWrite.then(work, work));
    this.#lastWrite = written;
    if (signal === undefined) return written;
    return new Promise((resolve, reject) => {
      // Once its turn has come, only the attempt itself knows what was done.
      const abort = () => started || reject(signal.reason);
      signal.addEventListener("abort", abort);
      written.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
    });
  }

  #track<T>(promise: Promise<T>): Promise<T> {
    const forget = () => void this.#underWay.delete(promise);
    this.#underWay.add(promise);
    promise.then(forget, forget);
    return promise;
  }

  async #insist<T>(
    attempt: () => T,
    deadline = performance.now() + this.#busyTimeout,
    signal?: AbortSignal,
  ): Promise<T> {
    for (let pause = 1;; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
      signal?.throwIfAborted();
      try {
        this.#assertUsable();
        return attempt();
      } catch (error) {
        if (!isBusy(error)) throw explain(error, this.path);
        if (performance.now() >= deadline) throw stillBusy(this.path, this.#busyTimeout, error);
      }
      await this.#pauses.wait(signal, pause * (0.5 + Math.random()));
    }
  }

  #transact<T>(begin: string, work: () => T): T {
    this.run(begin);
    try {
      const result = work();
      this.run("COMMIT");
      return result;
    } catch (error) {
      try {
        this.run("ROLLBACK");
      } catch {
        // After some failures, a full disk among them, SQLite has rolled back by itself: the first error is the cause.
      }
      throw error;
    }
  }

  #assertUsable(): void {
    if (this.#closed) throw new Error(`Cannot use ${this.path}: its store is closed`);
    if (this.#fileLost) throw fileLost(this.path);
    if (performance.now() - this.#checkedAt >= FILE_CHECK_INTERVAL) this.#assertFileIsThere();
  }

  // A deleted file stays writable for those who have it open, but no other process can find it.
  #assertFileIsThere(): void {
    const found = statSync(this.path, { throwIfNoEntry: false });
    // A file that comes back later would lack what was written meanwhile: this store stays unusable.
    this.#fileLost ||= found === undefined || found.ino !== this.#file.ino || found.dev !== this.#file.dev;
    if (this.#fileLost) throw fileLost(this.path);
    this.#checkedAt = performance.now();
  }

  /** Ends what waits for other connections, and closes the file. Twice is fine. */
  async close(): Promise<void> {
    const first = !this.#closed;
    this.#closed = true;
    this.#pauses.ring();
    await Promise.allSettled(this.#underWay);
    if (!first) return;
    this.#statements.clear();
    this.#db.close();
  }
}

function openFile(path: string): DatabaseSync {
  try {
    return new DatabaseSync(path);
  } catch (error) {
    // Most often the directory is there, and then nothing need be allowed but the file itself.
    if (!cannotOpen(error) || !makeDirectory(dirname(path))) throw explain(error, path);
    return new DatabaseSync(path);
  }
}

/** Returns false when it was there before. */
function makeDirectory(path: string): boolean {
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return false;
    mkdirSync(path, { recursive: true });
    return true;
  } catch (error) {
    const explained = explain(error, path);
    if (explained !== error) throw explained;
    throw new Error(`Cannot make directory ${path}: the system refuses it; choose another path, or make it yourself`, {
      cause: error,
    });
  }
}
