import { Redis as IoRedis } from "ioredis";
import { createSentinel } from "redis";
import type { ClientKind } from "../../../src/redis/clients/detect.ts";
import { openRedisStore } from "../../../src/redis/open.ts";
import type { RedisStore } from "../../../src/redis/redis_store.ts";
import { LABELS, TestKeys } from "../_bench.ts";
import { testContractOn } from "../_contract.ts";
import { WatchedServers } from "../_sentinel.ts";

/** A master with Sentinels, for all tests of one file. */
export class SharedWatched {
  #watched: WatchedServers | undefined;
  #tests = 0;

  constructor() {
    Deno.test.beforeAll(async () => void (this.#watched = await WatchedServers.start()));
    Deno.test.afterAll(async () => await this.#watched?.[Symbol.asyncDispose]());
  }

  get watched(): WatchedServers {
    return this.#watched!;
  }

  /** Keys of one test, which are removed after it. */
  keys(): TestKeys {
    return new TestKeys(this.watched.servers[0]!.url, `test-${++this.#tests}`);
  }
}

/** The ways to connect by Sentinels: a URL, or a client, which is neither used nor closed. */
export const WAYS: Readonly<
  Record<string, (watched: WatchedServers) => { target: string | object; kind?: ClientKind }>
> = {
  [`a URL and ${LABELS["@db/redis"]}`]: ({ url }) => ({ target: url, kind: "@db/redis" }),
  "a URL and node-redis": ({ url }) => ({ target: url, kind: "node-redis" }),
  "a URL and ioredis": ({ url }) => ({ target: url, kind: "ioredis" }),
  "createSentinel of node-redis": ({ name, ports }) => ({
    target: createSentinel({ name, sentinelRootNodes: ports.map((port) => ({ host: "127.0.0.1", port })) }),
  }),
  "new Redis({ sentinels }) of ioredis": ({ name, ports }) => ({
    target: new IoRedis({ name, sentinels: ports.map((port) => ({ host: "127.0.0.1", port })), lazyConnect: true }),
  }),
};

/** Opens a store by one of these ways. */
export function openWatched(watched: WatchedServers, way: string): Promise<RedisStore> {
  const { target, kind } = WAYS[way]!(watched);
  return openRedisStore(target, { ...(kind && { client: kind }) });
}

/** Registers both contract suites for one of these ways. */
export function testWatchedContract(shared: SharedWatched, way: string): void {
  const open = () => openWatched(shared.watched, way);
  // Opening a connection asks all Sentinels first, so that an immediate claim may take longer.
  testContractOn(shared, `RedisStore behind Sentinels, by ${way}`, open, 80);
}
