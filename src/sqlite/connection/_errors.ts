import { StoreError } from "../../store/mod.ts";

// The primary result codes of SQLite that users meet: https://sqlite.org/rescode.html
const BUSY = 5;
const LOCKED = 6;
const READONLY = 8;
const IOERR = 10;
const CORRUPT = 11;
const FULL = 13;
const CANTOPEN = 14;
const PROTOCOL = 15;
const NOTADB = 26;
// An extended result code: the shared memory file (x.db-shm) could not grow.
const IOERR_SHMSIZE = 4_874;

// The messages of these codes, for errors that carry no code.
const MESSAGES: readonly (readonly [number, string])[] = [
  [BUSY, "database is locked"],
  [LOCKED, "database table is locked"],
  [READONLY, "attempt to write a readonly database"],
  [IOERR, "disk I/O error"],
  [CORRUPT, "database disk image is malformed"],
  [FULL, "database or disk is full"],
  [CANTOPEN, "unable to open database file"],
  [NOTADB, "file is not a database"],
];

const ADVICE: Readonly<Record<number, string>> = {
  [READONLY]: "it is read-only; make the file and its directory writable, or choose another path",
  [IOERR]: "reading or writing the file failed; check the disk",
  [CORRUPT]: "it is damaged; restore it from a backup, or salvage it with sqlite3's .recover",
  [CANTOPEN]:
    "the file cannot be opened; check that the path is no directory, and the permissions of the file and its directory",
  [NOTADB]: "it is not an SQLite database; choose another path, or move the file away",
};

function resultCode(error: unknown): number | undefined {
  if (!(error instanceof Error) || !("code" in error) || error.code !== "ERR_SQLITE_ERROR") return undefined;
  if ("errcode" in error && typeof error.errcode === "number") {
    return error.errcode === IOERR_SHMSIZE ? FULL : error.errcode & 0xff;
  }
  // Deno leaves out the result code of errors that come from no statement, such as those of opening a file.
  return MESSAGES.find(([, message]) => error.message.startsWith(message))?.[0];
}

/** True when another connection holds a lock, so that trying again soon may succeed. */
export function isBusy(error: unknown): boolean {
  const code = resultCode(error);
  return code === BUSY || code === LOCKED || code === PROTOCOL;
}

/** True when the file could not be opened, for example because its directory is missing. */
export function cannotOpen(error: unknown): boolean {
  return resultCode(error) === CANTOPEN;
}

/** The error for a lock that another connection held longer than `waited` milliseconds. */
export function stillBusy(path: string, waited: number, cause: unknown): StoreError {
  return new StoreError(
    "transient",
    `Cannot use ${path}: another connection kept it locked for ${waited} ms; end its transaction, or raise busyTimeout`,
    { cause },
  );
}

/** The error for a file that is no longer at its path. */
export function fileLost(path: string): StoreError {
  return new StoreError(
    "storage-lost",
    `Cannot use ${path}: the file was deleted or replaced while it was open; open the store again, and publish the ` +
      "events again whose publish was rejected",
  );
}

/**
 * Turns a failure of SQLite into an error that names the file and the way out, or returns `error` itself. The new error
 * is `"transient"` if the call may succeed later with the same file; the failed call changed nothing then.
 */
export function explain(error: unknown, path: string): unknown {
  if (error instanceof Error && error.name === "NotCapable") {
    return new Error(`Cannot open ${path}: Deno needs --allow-read=${path} and --allow-write=${path}`, {
      cause: error,
    });
  }
  const code = resultCode(error);
  if (code === FULL) {
    return new StoreError("transient", `Cannot use ${path}: the disk is full; make room`, { cause: error });
  }
  const advice = ADVICE[code ?? -1];
  return advice === undefined ? error : new Error(`Cannot use ${path}: ${advice}`, { cause: error });
}
