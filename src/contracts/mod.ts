/**
 * The contracts of event classes. {@linkcode catalogue} describes the classes in JSON Schema, {@linkcode asyncApi} makes an
 * AsyncAPI document of it, and {@linkcode compare} finds the changes that break readers. The command
 * `@tidings/broker/contracts/cli` does the same for the classes that a module exports.
 *
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { catalogue, compare } from "@tidings/broker/contracts";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * const BidPlaced = defineEvent("BidPlaced", { schema: z.object({ cents: z.int() }) });
 * const bids = await catalogue("bids", [BidPlaced]);
 * assertEquals(compare(bids, bids).map(({ verdict }) => verdict), ["safe", "safe"]);
 * ```
 *
 * @module
 */
export { type Catalogue, catalogue, type Contract } from "./catalogue.ts";
export { asyncApi, type AsyncApiOptions } from "./async_api.ts";
export { compare, type Finding } from "./compare.ts";
export type { CloudEvent, DomainEvent, DomainEventInit, EventClass } from "../events/mod.ts";
