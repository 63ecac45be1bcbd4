import * as dbRedis from "@db/redis";
import { type BrokerOptions, EventBroker, type EventClass } from "@tidings/broker";
import type { AppendOptions, EventStore, Fields, MemberOptions, ReadRange } from "../../src/store/mod.ts";
import type { BrokerUnderTest, StoreUnderTest } from "../../src/testing/mod.ts";
import { type Address, parseTarget } from "../../src/redis/connection/_address.ts";
import { openInTime, type TimedConnection } from "../../src/redis/connection/_connection.ts";
import { withoutCredentials } from "../../src/redis/connection/_errors.ts";
import { type ClientKind, loadAdapter } from "../../src/redis/clients/detect.ts";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { RedisServer } from "./_server.ts";

/** What each client is called in the names of tests. */
export const LABELS: Readonly<Record<ClientKind, string>> = {
  "@db/redis": "STAND_IN" in dbRedis ? "@db/redis (stand-in)" : "@db/redis",
  "node-redis": "node-redis",
  "ioredis": "ioredis",
};

export const KINDS = Object.keys(LABELS) as ClientKind[];

/** What adapters connect to. */
export function addressOf(url: URL): Address {
  const { nodes: [node], session } = parseTarget(url.href);
  return { ...session, ...node! };
}

/** One connection by a client of this kind. */
export async function openConnection(url: URL, kind: ClientKind = "node-redis"): Promise<TimedConnection> {
  const adapter = await loadAdapter(kind);
  return await openInTime((options) => adapter.open(addressOf(url), options));
}

/** A store that reaches its server by a client of this kind. */
export async function openStore(url: URL, kind: ClientKind = "node-redis"): Promise<RedisStore> {
  return new RedisStore(new SingleServer(await openConnection(url, kind), withoutCredentials(url)));
}

/** A connection that waits for this before it sends a command. */
export function withHook(
  connection: TimedConnection,
  before: (command: readonly string[]) => Promise<void> | void,
): TimedConnection {
  return {
    send: async (command, timeout) => {
      await before(command);
      return await connection.send(command, timeout);
    },
    open: async (options) => withHook(await connection.open(options), before),
    close: () => connection.close(),
  };
}

/** A broker over such a store. */
export async function openBroker<C extends EventClass>(
  url: URL,
  options: BrokerOptions<C>,
  kind?: ClientKind,
): Promise<EventBroker<C>> {
  return new EventBroker(await openStore(url, kind), options);
}

/** A store in which every stream's name begins with the same, so that tests can share a server. */
class PrefixedStore implements EventStore {
  #store: EventStore;
  #prefix: string;

  constructor(store: EventStore, prefix: string) {
    this.#store = store;
    this.#prefix = prefix;
  }

  append(stream: string, records: readonly Fields[], options?: AppendOptions) {
    return this.#store.append(this.#prefix + stream, records, options);
  }

  read(stream: string, range?: ReadRange) {
    return this.#store.read(this.#prefix + stream, range);
  }

  member(stream: string, group: string, options: MemberOptions) {
    return this.#store.member(this.#prefix + stream, group, options);
  }

  admin(stream: string) {
    return this.#store.admin(this.#prefix + stream);
  }

  [Symbol.asyncDispose]() {
    return this.#store[Symbol.asyncDispose]();
  }
}

/** A server for the tests of one file: REDIS_URL's, of which only the tests' own keys are touched, or one of its own. */
export class SharedServer {
  #own: RedisServer | undefined;
  #url: URL | undefined;
  #tests = 0;

  constructor() {
    Deno.test.beforeAll(async () => {
      const given = Deno.env.get("REDIS_URL");
      if (given === undefined) this.#own = await RedisServer.start();
      this.#url = given === undefined ? this.#own!.url : new URL(given);
    });
    Deno.test.afterAll(async () => await this.#own?.[Symbol.asyncDispose]());
  }

  /** Keys of this test alone, which are removed after it. */
  keys(): TestKeys {
    return new TestKeys(this.#url!, `test-${Deno.pid}-${++this.#tests}-${crypto.randomUUID().slice(0, 8)}`);
  }
}

/** What is one test's own on a server. */
export class TestKeys implements AsyncDisposable {
  readonly url: URL;
  /** What all of them hold; fit for a broker's option. */
  readonly prefix: string;

  constructor(url: URL, prefix: string) {
    this.url = url;
    this.prefix = prefix;
  }

  over(store: EventStore): EventStore {
    return new PrefixedStore(store, `${this.prefix}:`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const connection = await openConnection(this.url);
    try {
      for (let cursor = "0";;) {
        const scan = ["SCAN", cursor, "MATCH", `*${this.prefix}*`, "COUNT", "1000"];
        const [next, keys] = await connection.send(scan) as readonly [string, readonly string[]];
        if (keys.length > 0) await connection.send(["DEL", ...keys]);
        if (next === "0") return;
        cursor = next;
      }
    } finally {
      connection.close();
    }
  }
}

/** What `testEventStore` wants. */
export async function storeUnderTest(
  keys: AsyncDisposable & Pick<TestKeys, "url" | "over">,
  open: (url: URL) => Promise<EventStore>,
  // The server and the tests share their processors with others.
  moment = 20,
): Promise<StoreUnderTest> {
  const store = keys.over(await open(keys.url));
  return {
    store,
    reopen: async () => keys.over(await open(keys.url)),
    moment,
    [Symbol.asyncDispose]: async () => {
      await store[Symbol.asyncDispose]();
      await keys[Symbol.asyncDispose]();
    },
  };
}

/** What `testBroker` wants. */
export function brokerUnderTest(keys: TestKeys, open: (url: URL) => Promise<EventStore>): BrokerUnderTest {
  const store = async () => keys.over(await open(keys.url));
  return {
    connect: async (events, options) => {
      const opened = await store();
      try {
        return new EventBroker(opened, { events, ...options });
      } catch (error) {
        await opened[Symbol.asyncDispose]();
        throw error;
      }
    },
    store,
    [Symbol.asyncDispose]: () => keys[Symbol.asyncDispose](),
  };
}
