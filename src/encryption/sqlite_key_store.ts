/**
 * {@linkcode SqliteKeyStore}: a {@linkcode KeyStore} in a SQLite file of its own.
 *
 * ```ts
 * import { SqliteKeyStore } from "@tidings/broker/encryption/sqlite";
 * import { assertEquals } from "@std/assert";
 *
 * const masterKey = crypto.getRandomValues(new Uint8Array(32));
 * using keys = new SqliteKeyStore(":memory:", { masterKey });
 * const { id } = await keys.current("bidder-1");
 * assertEquals((await keys.find("bidder-1", id))?.id, id);
 * ```
 *
 * @module
 */
import { DatabaseSync } from "node:sqlite";
import { reasonOf } from "../events/_check.ts";
import { newDataKey } from "./_data_key.ts";
import type { DataKey, KeyStore } from "./key_store.ts";

const IV_BYTES = 12;
const FORMAT = 1;
// "tiky": SQLite's application id of the file, which tells it from files of other programs.
const APPLICATION_ID = 0x74696b79;

/** Options of {@linkcode SqliteKeyStore}. */
export interface SqliteKeyStoreOptions {
  /** 32 secret bytes that encrypt the keys in the file. Keep them in a secret manager, not beside the file. */
  readonly masterKey: Uint8Array<ArrayBuffer>;
  /**
   * How long to wait for other processes that use the file, in milliseconds, from 0 to 2,147,483,647. The wait blocks the
   * event loop; usually it is short, because a transaction takes a moment.
   *
   * @default {5_000}
   */
  readonly busyTimeout?: number;
}

/**
 * Keeps keys in a SQLite file, encrypted by a master key, for any number of processes on one machine. A backup of the
 * file contains keys that are deleted later: keep backups for a short time, and apart from backups of events.
 *
 * @example Open a key store, and rotate a key
 * ```ts
 * import { FieldEncryption } from "@tidings/broker/encryption";
 * import { SqliteKeyStore } from "@tidings/broker/encryption/sqlite";
 * import { assertEquals } from "@std/assert";
 *
 * const masterKey = crypto.getRandomValues(new Uint8Array(32)); // from your secret manager
 * using keys = new SqliteKeyStore(":memory:", { masterKey });
 * const encryption = new FieldEncryption({ keys });
 * const first = await keys.current("bidder-1");
 * await encryption.rotate("bidder-1");
 * assertEquals((await keys.find("bidder-1", first.id))?.secret, first.secret);
 * ```
 */
export class SqliteKeyStore implements KeyStore, Disposable {
  #db: DatabaseSync;
  #masterKey: Promise<CryptoKey>;

  /**
   * Opens the file, and creates it if there is none.
   *
   * @throws {TypeError} If the master key is not a Uint8Array, or the file is not a key store.
   * @throws {RangeError} If the master key does not have 32 bytes, or `busyTimeout` is out of range.
   * @throws {Error} If the file cannot be opened.
   */
  constructor(path: string, { masterKey, busyTimeout = 5_000 }: SqliteKeyStoreOptions) {
    if (!(masterKey instanceof Uint8Array)) {
      throw new TypeError("Cannot open a key store without a master key: pass { masterKey }, a Uint8Array of 32 bytes");
    }
    if (masterKey.length !== 32) {
      throw new RangeError(`Cannot use a master key of ${masterKey.length} bytes: give 32 secret bytes`);
    }
    if (!(busyTimeout >= 0 && busyTimeout < 2 ** 31)) {
      throw new RangeError(`Cannot use ${busyTimeout} as busyTimeout (ms): give a number from 0 to ${2 ** 31 - 1}`);
    }
    this.#masterKey = crypto.subtle.importKey("raw", masterKey, "AES-GCM", false, ["encrypt", "decrypt"]);
    this.#db = openFile(path, busyTimeout);
  }

  /**
   * The current key of a subject, made if there is none. Concurrent callers, in other processes too, get the same key.
   *
   * @throws {Error} If the file cannot be used, or the key was encrypted by another master key.
   */
  async current(subject: string): Promise<DataKey> {
    for (;;) {
      const row = this.#db.prepare("SELECT id, wrapped FROM keys WHERE subject = ? ORDER BY nth DESC LIMIT 1").get(
        subject,
      );
      if (row !== undefined) return await this.#unwrapped(subject, row as unknown as Row);
      const key = newDataKey();
      const wrapped = await this.#wrapped(subject, key);
      this.#db.prepare(
        "INSERT INTO keys (subject, id, wrapped) SELECT ?, ?, ? WHERE NOT EXISTS (SELECT 1 FROM keys WHERE subject = ?)",
      ).run(subject, key.id, wrapped, subject);
    }
  }

  /**
   * A key of a subject; undefined if there is none with this id.
   *
   * @throws {Error} If the file cannot be used, or the key was encrypted by another master key.
   */
  async find(subject: string, id: string): Promise<DataKey | undefined> {
    const row = this.#db.prepare("SELECT id, wrapped FROM keys WHERE subject = ? AND id = ?").get(subject, id);
    return row === undefined ? undefined : await this.#unwrapped(subject, row as unknown as Row);
  }

  /**
   * Makes a new current key for a subject. Earlier keys stay.
   *
   * @throws {Error} If the file cannot be used.
   */
  async rotate(subject: string): Promise<DataKey> {
    const key = newDataKey();
    const wrapped = await this.#wrapped(subject, key);
    this.#db.prepare("INSERT INTO keys (subject, id, wrapped) VALUES (?, ?, ?)").run(subject, key.id, wrapped);
    return key;
  }

  /**
   * Deletes all keys of a subject, and overwrites them in the file. Resolves with false if there were none.
   *
   * @throws {Error} If the file cannot be used.
   */
  // deno-lint-ignore require-await -- errors of SQLite become rejections, as in the other methods.
  async delete(subject: string): Promise<boolean> {
    return this.#db.prepare("DELETE FROM keys WHERE subject = ?").run(subject).changes > 0;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#db.close();
  }

  async #wrapped(subject: string, { id, secret }: DataKey): Promise<Uint8Array> {
    const iv = crypto.getRandomValues(new Uint8Array(IV_BYTES));
    const bound = { name: "AES-GCM", iv, additionalData: context(subject, id) };
    const bytes = new Uint8Array(await crypto.subtle.encrypt(bound, await this.#masterKey, secret));
    const wrapped = new Uint8Array(IV_BYTES + bytes.length);
    wrapped.set(iv);
    wrapped.set(bytes, IV_BYTES);
    return wrapped;
  }

  async #unwrapped(subject: string, { id, wrapped }: Row): Promise<DataKey> {
    try {
      const bound = { name: "AES-GCM", iv: wrapped.slice(0, IV_BYTES), additionalData: context(subject, id) };
      const secret = await crypto.subtle.decrypt(bound, await this.#masterKey, wrapped.slice(IV_BYTES));
      return { id, secret: new Uint8Array(secret) };
    } catch (error) {
      throw new Error(
        `Cannot read the key ${id} of ${
          JSON.stringify(subject)
        }: it was encrypted by another master key, or changed; ` +
          `give the master key of this file`,
        { cause: error },
      );
    }
  }
}

interface Row {
  readonly id: string;
  readonly wrapped: Uint8Array<ArrayBuffer>;
}

function openFile(path: string, busyTimeout: number): DatabaseSync {
  let db: DatabaseSync | undefined;
  try {
    db = new DatabaseSync(path);
    db.exec(`PRAGMA busy_timeout = ${Math.round(busyTimeout)}; PRAGMA secure_delete = ON; PRAGMA synchronous = FULL`);
    // Check and create the tables in one transaction, because another process may open the file at the same time.
    db.exec("BEGIN IMMEDIATE");
    makeTables(db, path);
    db.exec("COMMIT");
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof TypeError) throw error;
    const why = reasonOf(error);
    throw new Error(`Cannot open the key store ${path}: ${why}; check the path and its permissions`, {
      cause: error,
    });
  }
}

function makeTables(db: DatabaseSync, path: string): void {
  const { application_id } = db.prepare("PRAGMA application_id").get() as { application_id: number };
  const { count } = db.prepare("SELECT count(*) AS count FROM sqlite_schema").get() as { count: number };
  const { user_version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
  if (count > 0 && application_id !== APPLICATION_ID || user_version > FORMAT) {
    throw new TypeError(
      `Cannot use ${path} as a key store: it is a file of another kind or of a later version; give another path`,
    );
  }
  // No write-ahead log, which would keep deleted keys for a while. secure_delete overwrites deleted rows with zeros.
  db.exec(`
    PRAGMA application_id = ${APPLICATION_ID};
    PRAGMA user_version = ${FORMAT};
    CREATE TABLE IF NOT EXISTS keys (
      nth INTEGER PRIMARY KEY AUTOINCREMENT, subject TEXT NOT NULL, id TEXT NOT NULL, wrapped BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX IF NOT EXISTS keys_by_subject ON keys (subject, id);
  `);
}

/** The authenticated data that binds a wrapped key to its subject and id. */
function context(subject: string, id: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify([subject, id]));
}
