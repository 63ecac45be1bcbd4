/**
 * The store on Redis Streams.
 *
 * @module
 */
export { openRedisStore } from "./open.ts";
export { RedisStore } from "./redis_store.ts";
export type { RedisConnection, Reply } from "./client.ts";
