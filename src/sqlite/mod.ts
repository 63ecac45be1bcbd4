/**
 * The embedded durable store: streams in an SQLite file.
 *
 * @module
 */
export { SqliteStore, type SqliteStoreOptions } from "./sqlite_store.ts";
