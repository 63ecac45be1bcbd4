/**
 * The promises of the port as tests, for whoever writes a store.
 *
 * @module
 */
export type { SuiteOptions, TestFunction } from "./_contract.ts";
export type { StoreFeature, StoreUnderTest } from "./_store_bench.ts";
export { testEventStore } from "./event_store_suite.ts";
