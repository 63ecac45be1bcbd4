import { register, type SuiteOptions } from "./_contract.ts";
import { BrokerBench, type BrokerContract, type BrokerFeature, type BrokerUnderTest, within } from "./_broker_bench.ts";
import { batches } from "./broker/consuming/_batches.ts";
import { steps } from "./broker/consuming/_steps.ts";
import { expiring } from "./broker/consuming/_expiring.ts";
import { delivering } from "./broker/consuming/_delivery.ts";
import { ordering } from "./broker/consuming/_order.ts";
import { retrying } from "./broker/consuming/_retry.ts";
import { deadLetters } from "./broker/operating/_dead_letters.ts";
import { leasing } from "./broker/consuming/_leases.ts";
import { naming } from "./broker/consuming/_names.ts";
import { closing } from "./broker/consuming/_closing.ts";
import { ending } from "./broker/consuming/_ending.ts";
import { waiting } from "./broker/consuming/_waits.ts";
import { pulling } from "./broker/consuming/_pull.ts";
import { pausing } from "./broker/consuming/_pausing.ts";
import { rating } from "./broker/consuming/_rates.ts";
import { publishing } from "./broker/publishing/_publish.ts";
import { queueing } from "./broker/publishing/_queue.ts";
import { uncertain } from "./broker/publishing/_uncertain.ts";
import { again } from "./broker/scheduling/_again.ts";
import { later } from "./broker/scheduling/_later.ts";
import { revisions } from "./broker/publishing/_revisions.ts";
import { subjectHistory } from "./broker/reading/_subject_history.ts";
import { requesting } from "./broker/reading/_requests.ts";
import { reading } from "./broker/reading/_reading.ts";
import { live } from "./broker/reading/_live.ts";
import { bytes } from "./broker/operating/_bytes.ts";
import { operating } from "./broker/operating/_operating.ts";
import { health } from "./broker/operating/_health.ts";
import { observing } from "./broker/operating/_observing.ts";
import { refusing } from "./broker/operating/_misuse.ts";
import { entries } from "./broker/codec/_entries.ts";
import { versions } from "./broker/codec/_versions.ts";
import { schemas } from "./broker/codec/_schemas.ts";
import { decoding } from "./broker/codec/_decoding.ts";
import { preparing } from "./broker/publishing/_preparing.ts";
import { neighbours } from "./broker/codec/_neighbours.ts";
import { holding } from "./broker/consuming/_holds.ts";
import { hostileKeys } from "./broker/consuming/_hostile_keys.ts";
import { sharing } from "./broker/consuming/_shared_streams.ts";
import { overPartitions } from "./broker/partitions/_over_partitions.ts";
import { operatingPartitions } from "./broker/partitions/_operating.ts";
import { assigning } from "./broker/partitions/_assignment.ts";
import { retryingEarly } from "./broker/partitions/_early_retries.ts";
import { holdingPartitions } from "./broker/partitions/_held_keys.ts";
import { assignmentOptions } from "./broker/partitions/_assignment_options.ts";
import { partitioned } from "./broker/partitions/_partitions.ts";
import { pausingPartitions } from "./broker/partitions/_pausing.ts";
import { repartitioning } from "./broker/partitions/_repartition.ts";

/** Contracts that a broker keeps over any store. */
export const brokerContracts: readonly BrokerContract[] = [
  ...delivering,
  ...batches,
  ...expiring,
  ...steps,
  ...ordering,
  ...retrying,
  ...deadLetters,
  ...leasing,
  ...naming,
  ...closing,
  ...ending,
  ...waiting,
  ...pulling,
  ...publishing,
  ...queueing,
  ...uncertain,
  ...revisions,
  ...subjectHistory,
  ...later,
  ...again,
  ...reading,
  ...live,
  ...requesting,
  ...operating,
  ...bytes,
  ...observing,
  ...health,
  ...sharing,
  ...holding,
  ...hostileKeys,
  ...pausing,
  ...rating,
  ...partitioned,
  ...overPartitions,
  ...operatingPartitions,
  ...assigning,
  ...holdingPartitions,
  ...retryingEarly,
  ...assignmentOptions,
  ...repartitioning,
  ...pausingPartitions,
  ...refusing,
  ...entries,
  ...versions,
  ...schemas,
  ...decoding,
  ...preparing,
  ...neighbours,
];

// A contract that hangs must fail its own test only.
const TIMEOUT = 30_000;

/**
 * Registers the tests that brokers pass over every store: one for each promise, each with its own data.
 *
 * @param name The store's name, with which the names of the tests begin.
 * @param open Makes empty data for one test, which disposes it.
 * @throws {TypeError} If there is no `Deno.test` and no option `test`.
 *
 * @example Test brokers over a store of your own
 * ```ts
 * import { assert } from "@std/assert";
 * import { EventBroker } from "@tidings/broker";
 * import type { EventStore } from "@tidings/broker/store";
 * import { testBroker } from "@tidings/broker/testing";
 *
 * function openMyStore(_name: string): Promise<EventStore> {
 *   throw new Error("Cannot open the store: it is yet to be written");
 * }
 * const names: string[] = [];
 *
 * testBroker("MyStore", () => {
 *   const name = crypto.randomUUID();
 *   return Promise.resolve({
 *     connect: async (events, options) => {
 *       const store = await openMyStore(name);
 *       try {
 *         return new EventBroker(store, { events, ...options });
 *       } catch (error) {
 *         // The broker takes the store over only when its options are valid.
 *         await store[Symbol.asyncDispose]();
 *         throw error;
 *       }
 *     },
 *     store: () => openMyStore(name),
 *     [Symbol.asyncDispose]: () => Promise.resolve(),
 *   });
 * }, {
 *   // Leave this out on Deno; on Node, give it what `node:test` exports.
 *   test: (name) => names.push(name),
 *   skip: { "clock": "the server has its own" },
 * });
 *
 * assert(names.every((name) => name.startsWith("MyStore: ")));
 * ```
 */
export function testBroker(
  name: string,
  open: () => Promise<BrokerUnderTest>,
  options: SuiteOptions<BrokerFeature> = {},
): void {
  register(name, brokerContracts, options, async (contract) => {
    const bench = new BrokerBench(await open());
    try {
      await within(contract.body(bench), "the test to end", TIMEOUT);
    } finally {
      await within(bench.close(), "its brokers to close", TIMEOUT);
    }
  });
}
