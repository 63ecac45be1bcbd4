import type { EventStore } from "../../src/store/mod.ts";
import { testBroker, testEventStore } from "../../src/testing/mod.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { brokerUnderTest, LABELS, openStore, SharedServer, storeUnderTest, TestKeys } from "./_bench.ts";
import { RedisCluster } from "./_cluster.ts";

const skip = { clock: "the server has its own clock; see clock_test.ts" };

/** Registers both contract suites with a client of this kind. */
export function testContract(kind: ClientKind): void {
  testContractOn(new SharedServer(), `RedisStore by ${LABELS[kind]}`, (url) => openStore(url, kind));
}

/** Registers the store's suite with a client of this kind; the brokers' suite is a long test. */
export function testStoreContract(kind: ClientKind): void {
  const server = new SharedServer();
  const open = (url: URL) => openStore(url, kind);
  testEventStore(`RedisStore by ${LABELS[kind]}`, () => storeUnderTest(server.keys(), open), { skip });
}

/** Registers the brokers' suite with a client of this kind. */
export function testBrokerContract(kind: ClientKind): void {
  const server = new SharedServer();
  const open = (url: URL) => openStore(url, kind);
  testBroker(`RedisStore by ${LABELS[kind]}`, () => Promise.resolve(brokerUnderTest(server.keys(), open)), { skip });
}

/**
 * Registers both suites for a store that is opened in another way.
 *
 * @param server Gives each test its keys and the URL of the server.
 * @param moment How many milliseconds an immediate claim may take.
 */
export function testContractOn(
  server: Pick<SharedServer, "keys">,
  name: string,
  open: (url: URL) => Promise<EventStore>,
  moment?: number,
): void {
  testEventStore(name, () => storeUnderTest(server.keys(), open, moment), { skip });
  testBroker(name, () => Promise.resolve(brokerUnderTest(server.keys(), open)), { skip });
}

/**
 * Registers both suites on one cluster of three nodes.
 *
 * @param name How the stores connect, for the names of the tests.
 * @param open Opens a store on the cluster.
 */
export function testClusterContract(name: string, open: (cluster: RedisCluster) => Promise<EventStore>): void {
  let cluster: RedisCluster;
  let tests = 0;
  Deno.test.beforeAll(async () => void (cluster = await RedisCluster.start()));
  Deno.test.afterAll(async () => await cluster[Symbol.asyncDispose]());
  const title = `RedisStore on a cluster, ${name}`;
  const keys = () => new ClusterKeys(cluster.masters[0]!.url, `test${++tests}`);
  testEventStore(title, () => storeUnderTest(keys(), () => open(cluster)), { skip });
  testBroker(title, () => Promise.resolve(brokerUnderTest(keys(), () => open(cluster))), { skip });
}

/** The keys of one test on a cluster, which stay until the cluster is stopped. */
class ClusterKeys extends TestKeys {
  override async [Symbol.asyncDispose](): Promise<void> {}
}
