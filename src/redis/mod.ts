/**
 * The store on Redis Streams.
 *
 * @module
 */
export { RedisStore } from "./redis_store.ts";
export type { RedisConnection, Reply } from "./client.ts";
