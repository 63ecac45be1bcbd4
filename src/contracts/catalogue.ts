import { reasonOf, show } from "../events/_check.ts";
import { type EventDefinition, findDefinition } from "../events/_definition.ts";
import type { EventClass } from "../events/mod.ts";
import { sidesOf } from "./_conversion.ts";
import { pointerPart, sameJson, withReferences } from "./_schema.ts";

/** The contract of one type in one version: the JSON Schema of the stored detail, and the options of the class. */
export interface Contract {
  /** The type of the events. */
  readonly "x-type": string;
  /** The version of the detail's shape. */
  readonly "x-version": number;
  /** The stream, if the class names one that classes share. Otherwise the stream has the name of the type. */
  readonly "x-stream"?: string;
  /** The path within the detail where each event has its subject, if the class names one. */
  readonly "x-subject"?: string;
  /** The versions from which the class has upcasters. */
  readonly "x-upcasts": readonly number[];
  /** The sensitive paths. */
  readonly "x-sensitive": readonly string[];
  /** Set if the sensitive values are encrypted at rest. */
  readonly "x-encrypted"?: true;
  /** Set if the contract allows any detail, with the reason: the class has no schema, or JSON Schema cannot express it. */
  readonly "x-open"?: string;
  /** The JSON Schema of the details that readers accept, if it differs from that of the stored details. */
  readonly "x-accepts"?: { readonly [keyword: string]: unknown };
  /** The other keywords of JSON Schema. */
  readonly [keyword: string]: unknown;
}

/** The contracts of event classes: a JSON Schema of draft 2020-12 with one definition for each class. */
export interface Catalogue {
  /** The URI of the JSON Schema dialect. */
  readonly $schema: string;
  /** The name of the catalogue. */
  readonly title: string;
  /** The contracts, by `<Type>.<version>`. */
  readonly $defs: Readonly<Record<string, Contract>>;
}

/**
 * Makes the catalogue of event classes.
 *
 * @example The contract of a class
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { catalogue } from "@tidings/broker/contracts";
 * import { assertEquals } from "@std/assert";
 * import { z } from "zod";
 *
 * class BidPlaced extends defineEvent("BidPlaced", { schema: z.object({ cents: z.int() }) }) {}
 *
 * const { $defs } = await catalogue("auction", [BidPlaced]);
 * assertEquals($defs["BidPlaced.1"]?.required, ["cents"]);
 * ```
 *
 * @param name The name of the catalogue.
 * @param classes The event classes.
 * @returns A plain JSON value, ordered by type, so that equal classes have equal catalogues.
 * @throws {TypeError} If a value is not an event class, or two classes define the same type differently.
 */
export async function catalogue(name: string, classes: Iterable<EventClass>): Promise<Catalogue> {
  const definitions = new Map<string, EventDefinition>();
  for (const each of classes) {
    const definition = findDefinition(each);
    if (definition === undefined) {
      throw new TypeError(`Cannot catalogue ${show(each)}: it is not an event class; give classes made by defineEvent`);
    }
    const other = definitions.get(definition.type);
    if (other !== undefined && other !== definition) {
      throw new TypeError(`Cannot catalogue ${definition.type}: two classes define it; give only one of them`);
    }
    definitions.set(definition.type, definition);
  }
  const $defs: Record<string, Contract> = {};
  for (const type of [...definitions.keys()].sort()) {
    const definition = definitions.get(type)!;
    $defs[`${type}.${definition.version}`] = await contractOf(definition);
  }
  return { $schema: "https://json-schema.org/draft/2020-12/schema", title: name, $defs };
}

async function contractOf(definition: EventDefinition & { readonly encrypt?: unknown }): Promise<Contract> {
  const { type, stream, subject, version, upcast, sensitive, encrypt } = definition;
  const known = {
    "x-type": type,
    "x-version": version,
    ...(stream !== type && { "x-stream": stream }),
    ...(subject !== undefined && { "x-subject": subject.join(".") }),
    "x-upcasts": Object.keys(upcast).map(Number),
    "x-sensitive": sensitive,
    ...(encrypt === true && { "x-encrypted": true as const }),
  };
  return { ...known, ...await schemaOf(definition, `#/$defs/${pointerPart(`${type}.${version}`)}`) };
}

async function schemaOf({ schema }: EventDefinition, at: string): Promise<{ readonly [keyword: string]: unknown }> {
  if (schema === undefined) return { "x-open": "the class has no schema" };
  try {
    const { written, accepted } = await sidesOf(schema);
    const moved = (part: unknown, to: string) => withReferences(part, (ref) => to + ref.slice(1)) as object;
    const same = sameJson(written, accepted);
    return { ...moved(written, at), ...(!same && { "x-accepts": moved(accepted, `${at}/x-accepts`) }) };
  } catch (error) {
    // Record the reason instead of failing, so that the other types can still be compared.
    return { "x-open": reasonOf(error) };
  }
}

/** The name of the stream that holds the events of a contract. */
export function streamOf(contract: Contract): string {
  return contract["x-stream"] ?? contract["x-type"];
}
