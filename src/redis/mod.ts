/**
 * The store on Redis Streams.
 *
 * @module
 */
export { type OpenRedisOptions, openRedisStore } from "./open.ts";
export type { ClientKind } from "./clients/detect.ts";
export { RedisStore } from "./redis_store.ts";
export type { RedisConnection, Reply } from "./connection/client.ts";
