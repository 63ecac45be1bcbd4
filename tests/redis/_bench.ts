import * as dbRedis from "@db/redis";
import { type BrokerOptions, EventBroker, type EventClass } from "@tidings/broker";
import type {
  AppendOptions,
  EventStore,
  Fields,
  MemberOptions,
  ReadRange,
  RevisedOptions,
  RevisedRecord,
  SubjectRange,
} from "../../src/store/mod.ts";
import type { BrokerUnderTest, StoreUnderTest } from "../../src/testing/mod.ts";
import { type Address, parseTarget } from "../../src/redis/connection/_address.ts";
import { openInTime, type TimedConnection } from "../../src/redis/connection/_connection.ts";
import { withoutCredentials } from "../../src/redis/connection/_errors.ts";
import { type ClientKind, loadAdapter } from "../../src/redis/clients/detect.ts";
import { SingleServer } from "../../src/redis/connection/_single_server.ts";
import { RedisStore } from "../../src/redis/redis_store.ts";
import { RedisServer } from "./_server.ts";

/** The names of the clients in the names of tests. */
export const LABELS: Readonly<Record<ClientKind, string>> = {
  "@db/redis": "STAND_IN" in dbRedis ? "@db/redis (stand-in)" : "@db/redis",
  "node-redis": "node-redis",
  "ioredis": "ioredis",
};

export const KINDS = Object.keys(LABELS) as ClientKind[];

/** The address in a URL, as adapters take it. */
export function addressOf(url: URL): Address {
  const { nodes: [node], session } = parseTarget(url.href);
  return { ...session, ...node! };
}

/** Opens a connection by a client of this kind. */
export async function openConnection(url: URL, kind: ClientKind = "node-redis"): Promise<TimedConnection> {
  const adapter = await loadAdapter(kind);
  return await openInTime((options) => adapter.open(addressOf(url), options));
}

/** Opens a store on one server by a client of this kind. */
export async function openStore(url: URL, kind: ClientKind = "node-redis"): Promise<RedisStore> {
  return new RedisStore(new SingleServer(await openConnection(url, kind), withoutCredentials(url)));
}

/** A connection that calls and awaits a function before it sends each command. */
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

/** Opens a broker over such a store. */
export async function openBroker<C extends EventClass>(
  url: URL,
  options: BrokerOptions<C>,
  kind?: ClientKind,
): Promise<EventBroker<C>> {
  return new EventBroker(await openStore(url, kind), options);
}

/** A store that puts a prefix before each stream's name, so that tests can share a server. */
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

  appendRevised(stream: string, records: readonly RevisedRecord[], options?: RevisedOptions) {
    return this.#store.appendRevised(this.#prefix + stream, records, options);
  }

  revision(stream: string, subject: string) {
    return this.#store.revision(this.#prefix + stream, subject);
  }

  readSubject(stream: string, subject: string, range?: SubjectRange) {
    return this.#store.readSubject(this.#prefix + stream, subject, range);
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

  schedule(stream: string, layout?: number) {
    return this.#store.schedule(this.#prefix + stream, layout);
  }

  state(stream: string, name: string) {
    return this.#store.state(this.#prefix + stream, name);
  }

  limiter(stream: string, name: string) {
    return this.#store.limiter(this.#prefix + stream, name);
  }

  [Symbol.asyncDispose]() {
    return this.#store[Symbol.asyncDispose]();
  }
}

/** A server for the tests of one file: a new one, or that of REDIS_URL, on which the tests only touch their own keys. */
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

  /** Keys of one test, which are removed after it. */
  keys(): TestKeys {
    return new TestKeys(this.#url!, `test-${Deno.pid}-${++this.#tests}-${crypto.randomUUID().slice(0, 8)}`);
  }
}

/** The keys of one test on a server. */
export class TestKeys implements AsyncDisposable {
  readonly url: URL;
  /** The prefix of all keys, which can be the `prefix` of a broker. */
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

/** A fixture for `testEventStore`. */
export async function storeUnderTest(
  keys: AsyncDisposable & Pick<TestKeys, "url" | "over">,
  open: (url: URL) => Promise<EventStore>,
  // Milliseconds; other tests may keep the processors busy.
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

/** A fixture for `testBroker`. */
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
