import { mkdirSync, type Stats, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { DatabaseSync, type SQLInputValue, type StatementSync } from "node:sqlite";
import { WakeUp } from "../../store/_wake_up.ts";
import { cannotOpen, explain, fileLost, isBusy, stillBusy } from "./_errors.ts";
import { checkSchema, makeSchema } from "./_schema.ts";

// How long SQLite itself waits for a lock, in milliseconds. This blocks the event loop, so it is just long enough for a
// usual transaction of another process; longer waits use timers.
const BLOCKING_WAIT = 10;
const LONGEST_PAUSE = 25;
const FILE_CHECK_INTERVAL = 1_000;

/** How to open the file. */
export interface DatabaseOptions {
  /** When SQLite flushes to the disk: `PRAGMA synchronous`. */
  readonly synchronous: "normal" | "full";
  /** How long to wait for a lock of another connection, in milliseconds. */
  readonly busyTimeout: number;
}

/** One connection to the file: transactions that wait for other connections without blocking the event loop. */
export class Database {
  /** The absolute path of the file. */
  readonly path: string;
  #db: DatabaseSync;
  #file: Stats;
  #fileLost = false;
  #checkedAt: number = performance.now();
  #statements = new Map<string, StatementSync>();
  #busyTimeout: number;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #underWay = new Set<Promise<unknown>>();
  #pauses = new WakeUp();
  #closed = false;

  /** Opens the file. Creates the file, its directory and its tables if they are missing. */
  static async open(path: string, { synchronous, busyTimeout }: DatabaseOptions): Promise<Database> {
    const file = resolve(path);
    const db = new Database(file, openFile(file), busyTimeout);
    try {
      // Check before the first write, so that a file of another program stays as it was.
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
      `Cannot open ${this.path}: its file system does not support shared memory between processes; use a local disk`,
    );
  }

  /** Runs statements that take no values. */
  exec(sql: string): void {
    this.#db.exec(sql);
  }

  /** Returns the first row. */
  get<Row>(sql: string, ...values: SQLInputValue[]): Row | undefined {
    return this.#prepare(sql).get(...values) as Row | undefined;
  }

  /** Returns all rows. */
  all<Row>(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values) as Row[];
  }

  /** Runs a statement, and returns how many rows it changed. */
  run(sql: string, ...values: SQLInputValue[]): number {
    return Number(this.#prepare(sql).run(...values).changes);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (statement === undefined) this.#statements.set(sql, statement = this.#db.prepare(sql));
    return statement;
  }

  /** A number that changes after every commit of another connection, but not after commits of this one. */
  dataVersion(): number {
    this.#assertUsable();
    return this.get<{ data_version: number }>("PRAGMA data_version")!.data_version;
  }

  /** Runs `look` in a read transaction: all its statements see the file at one moment. */
  read<T>(look: () => T): Promise<T> {
    return this.#track(this.#insist(() => this.#transact("BEGIN", look)));
  }

  /**
   * Runs `change` as one transaction. Transactions of this connection run in the order of the calls. Rejects with a
   * `"transient"` StoreError when another connection kept the file locked for too long, and with the reason of `signal`
   * when it aborts before the transaction starts; nothing was changed then. Rejects with `"storage-lost"` when the file
   * was deleted or replaced before the transaction was committed.
   */
  write<T>(change: () => T, signal?: AbortSignal): Promise<T> {
    const deadline = performance.now() + this.#busyTimeout;
    let started = false;
    const work = () => {
      started = true;
      return this.#insist(
        () => {
          const result = this.#transact("BEGIN IMMEDIATE", change);
          // SQLite also commits to a deleted file, so a successful commit alone does not mean that the data is stored.
          this.#assertFileIsThere();
          return result;
        },
        deadline,
        signal,
      );
    };
    // A failure of the previous transaction is reported to its own caller.
    const written = this.#track(this.#lastWrite.then(work, work));
    this.#lastWrite = written;
    if (signal === undefined) return written;
    return new Promise((resolve, reject) => {
      // After the start, only the transaction itself knows whether it was committed.
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
        // After some failures, such as a full disk, SQLite has already rolled back. Report the first error.
      }
      throw error;
    }
  }

  #assertUsable(): void {
    if (this.#closed) throw new Error(`Cannot use ${this.path}: its store is closed; open it again`);
    if (this.#fileLost) throw fileLost(this.path);
    if (performance.now() - this.#checkedAt >= FILE_CHECK_INTERVAL) this.#assertFileIsThere();
  }

  // A connection can go on writing to a deleted file, but no other process can find that file.
  #assertFileIsThere(): void {
    const found = statSync(this.path, { throwIfNoEntry: false });
    // A file that is put back later lacks what was written in the meantime, so this connection stays unusable.
    this.#fileLost ||= found === undefined || found.ino !== this.#file.ino || found.dev !== this.#file.dev;
    if (this.#fileLost) throw fileLost(this.path);
    this.#checkedAt = performance.now();
  }

  /** Rejects transactions that wait for a lock, and closes the file. May be called twice. */
  async close(): Promise<void> {
    const first = !this.#closed;
    this.#closed = true;
    this.#pauses.wake();
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
    // Look at the directory only now: if it exists, Deno needs no permission for it.
    if (!cannotOpen(error) || !makeDirectory(dirname(path))) throw explain(error, path);
    return new DatabaseSync(path);
  }
}

/** Returns false if the directory exists already. */
function makeDirectory(path: string): boolean {
  try {
    if (statSync(path, { throwIfNoEntry: false }) !== undefined) return false;
    mkdirSync(path, { recursive: true });
    return true;
  } catch (error) {
    const explained = explain(error, path);
    if (explained !== error) throw explained;
    throw new Error(
      `Cannot create directory ${path}: the operating system refused; choose another path, or create it yourself`,
      { cause: error },
    );
  }
}
