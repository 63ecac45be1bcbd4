/**
 * The durable store in an SQLite file: {@linkcode SqliteStore}. It uses `node:sqlite`, which Deno and Node include.
 *
 * `connect("sqlite:events.db", options)` of `@tidings/broker` opens one with default options.
 *
 * @module
 */
export { SqliteStore, type SqliteStoreOptions } from "./sqlite_store.ts";
