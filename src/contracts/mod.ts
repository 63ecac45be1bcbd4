/**
 * The contracts of event classes: a catalogue in JSON Schema, an AsyncAPI document, and what a change breaks. The
 * command `@tidings/broker/contracts/cli` does the same for a module.
 *
 * @module
 */
export { type Catalogue, catalogue, type Contract } from "./catalogue.ts";
export { asyncApi, type AsyncApiOptions } from "./async_api.ts";
export { compare, type Finding } from "./compare.ts";
export type { CloudEvent, DomainEvent, DomainEventInit, EventClass } from "../events/mod.ts";
