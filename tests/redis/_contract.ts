import type { EventStore } from "../../src/store/mod.ts";
import { testBroker, testEventStore } from "../../src/testing/mod.ts";
import type { ClientKind } from "../../src/redis/clients/detect.ts";
import { brokerUnderTest, LABELS, openStore, SharedServer, storeUnderTest } from "./_bench.ts";

const skip = { clock: "the server goes by its own; see clock_test.ts" };

/** Registers the suites of the port and of brokers, with a client of this kind. */
export function testContract(kind: ClientKind): void {
  testContractOn(new SharedServer(), `RedisStore by ${LABELS[kind]}`, (url) => openStore(url, kind));
}

/**
 * Registers them for a store that is opened in another way.
 *
 * @param server Hands out keys, and the URL of the server that they are on.
 * @param moment How long what comes at once may take, in milliseconds.
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
