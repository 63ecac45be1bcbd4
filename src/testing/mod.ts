/**
 * Contract suites of the store port and of brokers, for authors of stores.
 *
 * @module
 */
export type { BrokerFeature, BrokerUnderTest } from "./_broker_bench.ts";
export { testBroker } from "./broker_suite.ts";
export type { SuiteOptions, TestFunction } from "./_contract.ts";
export type { StoreFeature, StoreUnderTest } from "./_store_bench.ts";
export { testEventStore } from "./event_store_suite.ts";
