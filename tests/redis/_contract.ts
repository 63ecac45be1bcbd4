import { testBroker, testEventStore } from "../../src/testing/mod.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { brokerUnderTest, LABELS, openStore, SharedServer, storeUnderTest } from "./_bench.ts";

const skip = { clock: "the server goes by its own; see clock_test.ts" };

/** Registers the suites of the port and of brokers, with a client of this kind. */
export function testContract(kind: ClientKind): void {
  const server = new SharedServer();
  const name = `RedisStore by ${LABELS[kind]}`;
  const open = (url: URL) => openStore(url, kind);
  testEventStore(name, () => storeUnderTest(server.keys(), open), { skip });
  testBroker(name, () => Promise.resolve(brokerUnderTest(server.keys(), open)), { skip });
}
