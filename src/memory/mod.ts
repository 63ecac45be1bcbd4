/**
 * The in-memory store.
 *
 * @module
 */
export { InMemoryStore, type InMemoryStoreOptions } from "./in_memory_store.ts";
