import { register, type SuiteOptions } from "./_contract.ts";
import { appending } from "./store/_append.ts";
import { bytes } from "./store/_bytes.ts";
import { claiming } from "./store/_claims.ts";
import { controlling } from "./store/_control.ts";
import { deferring } from "./store/_deferring.ts";
import { excluding } from "./store/_exclusive.ts";
import { fencing } from "./store/_layouts.ts";
import { grouping } from "./store/_groups.ts";
import { keeping } from "./store/_kept.ts";
import { holding } from "./store/_holds.ts";
import { leasing } from "./store/_leases.ts";
import { letters } from "./store/_letters.ts";
import { producing } from "./store/_producers.ts";
import { limiting } from "./store/_limiters.ts";
import { reading } from "./store/_read.ts";
import { rewinding } from "./store/_rewind.ts";
import { revising } from "./store/_revisions.ts";
import { scheduling } from "./store/_schedules.ts";
import { settling } from "./store/_settling.ts";
import { sharing } from "./store/_states.ts";
import { Bench, type StoreContract, type StoreFeature, type StoreUnderTest } from "./_store_bench.ts";
import { trimming } from "./store/_trim.ts";

/** Contracts of a store. */
export const storeContracts: readonly StoreContract[] = [
  ...appending,
  ...producing,
  ...revising,
  ...reading,
  ...claiming,
  ...leasing,
  ...excluding,
  ...settling,
  ...deferring,
  ...letters,
  ...holding,
  ...keeping,
  ...rewinding,
  ...trimming,
  ...bytes,
  ...grouping,
  ...sharing,
  ...controlling,
  ...limiting,
  ...fencing,
  ...scheduling,
];

/**
 * Registers the tests that every store passes: one for each promise of the port, each with its own store.
 *
 * @param name The store's name, with which the names of the tests begin.
 * @param open Opens an empty store for one test, which disposes it.
 * @throws {TypeError} If there is no `Deno.test` and no option `test`.
 *
 * @example Test a store of your own
 * ```ts
 * import { assertEquals } from "@std/assert";
 * import type { EventStore } from "@tidings/broker/store";
 * import { testEventStore } from "@tidings/broker/testing";
 *
 * function openMyStore(): Promise<EventStore> {
 *   throw new Error("Cannot open the store: it is yet to be written");
 * }
 * const names: string[] = [];
 *
 * testEventStore("MyStore", async () => {
 *   const store = await openMyStore();
 *   return { store, [Symbol.asyncDispose]: () => store[Symbol.asyncDispose]() };
 * }, {
 *   // Leave this out on Deno; on Node, give it what `node:test` exports.
 *   test: (name) => names.push(name),
 *   skip: { "clock": "the server has its own", "second-store": "it lives in this process" },
 * });
 *
 * assertEquals(names[0], "MyStore: append() stores unusual fields unchanged");
 * ```
 */
export function testEventStore(
  name: string,
  open: () => Promise<StoreUnderTest>,
  options: SuiteOptions<StoreFeature> = {},
): void {
  register(name, storeContracts, options, async (contract) => {
    const bench = new Bench(await open());
    try {
      await contract.body(bench);
    } finally {
      await bench.close();
    }
  });
}
