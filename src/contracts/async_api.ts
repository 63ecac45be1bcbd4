import { show } from "../events/_check.ts";
import { isObject, pointerPart, withReferences } from "./_schema.ts";
import { type Catalogue, type Contract, streamOf } from "./catalogue.ts";

/** Options of {@linkcode asyncApi}. */
export interface AsyncApiOptions {
  /**
   * The version of the AsyncAPI document.
   *
   * @default {"1.0.0"}
   */
  readonly version?: string;
  /**
   * The prefix of the streams' names.
   *
   * @default {"events"}
   */
  readonly prefix?: string;
  /**
   * The streams with partitions, by their names: those of the brokers' option `streams`. Without it no stream has some.
   *
   * @default {{}}
   */
  readonly streams?: Readonly<Record<string, { readonly partitions?: number }>>;
}

/**
 * Makes an AsyncAPI 3.0 document of a catalogue. It has a channel for each stream, with the messages of all types that
 * share it; the fields of an entry are the headers of its message. The address of a stream with partitions has the number of
 * the partition as its parameter.
 *
 * @example A document for other teams
 * ```ts
 * import { defineEvent } from "@tidings/broker";
 * import { asyncApi, catalogue } from "@tidings/broker/contracts";
 * import { assertEquals } from "@std/assert";
 *
 * const document = asyncApi(await catalogue("auction", [defineEvent("AuctionEnded")]));
 * assertEquals(document.asyncapi, "3.0.0");
 * ```
 *
 * @param catalogue The catalogue.
 * @param options The document's version, and the prefix and the partitions of the streams.
 * @returns A plain JSON value.
 * @throws {TypeError} If `streams` names a stream that no class has.
 */
export function asyncApi(catalogue: Catalogue, options: AsyncApiOptions = {}): { readonly [key: string]: unknown } {
  const { version = "1.0.0", prefix = "events", streams: settings = {} } = options;
  const names = namesOf(Object.keys(catalogue.$defs));
  const streams = new Map<string, string[]>();
  for (const [key, contract] of Object.entries(catalogue.$defs)) {
    streams.set(streamOf(contract), [...streams.get(streamOf(contract)) ?? [], names.get(key)!]);
  }
  const unknown = Object.keys(settings).find((name) => !streams.has(name));
  if (unknown !== undefined) {
    throw new TypeError(
      `Cannot describe the partitions of ${show(unknown)}: no class of the catalogue has this stream; its streams are ${
        [...streams.keys()].join(", ")
      }`,
    );
  }
  const channels = namesOf([...streams.keys()]);
  const each = <T>(make: (stream: string, name: string, messages: string[]) => [string, T][]): Record<string, T> =>
    Object.fromEntries([...streams].flatMap(([stream, messages]) => make(stream, channels.get(stream)!, messages)));
  const contracts = Object.entries(catalogue.$defs).map(([key, contract]) => [names.get(key)!, contract] as const);
  return {
    asyncapi: "3.0.0",
    info: {
      title: catalogue.title,
      version,
      description: "Events in Redis Streams: one stream for each type, or for several types that share it.",
    },
    defaultContentType: "application/json",
    channels: each((stream, name, messages) => {
      const partitions = Object.hasOwn(settings, stream) ? settings[stream]!.partitions ?? 0 : 0;
      return [[name, channel(`${prefix}:${stream}`, stream, messages, partitions)]];
    }),
    operations: each((_stream, name, messages) =>
      (["send", "receive"] as const).map((action) => [`${action}.${name}`, operation(action, name, messages)])
    ),
    components: {
      messages: Object.fromEntries(contracts.map(([name, contract]) => [name, message(name, contract)])),
      schemas: {
        ...Object.fromEntries(contracts.map(([name, contract]) => [name, payload(contract, names)])),
        EntryFields: ENTRY_FIELDS,
      },
    },
  };
}

/** A different name for each key, of characters that AsyncAPI allows in names of components. */
function namesOf(keys: readonly string[]): Map<string, string> {
  const names = new Map<string, string>();
  const taken = new Set<string>();
  for (const key of keys) {
    const base = key.replace(/[^\w.-]/g, "_");
    let name = base;
    for (let next = 2; taken.has(name); next++) name = `${base}-${next}`;
    taken.add(name);
    names.set(key, name);
  }
  return names;
}

function channel(address: string, title: string, messages: readonly string[], partitions: number): object {
  const one = "A Redis stream: an entry has the message's headers as fields, and its payload as the field `payload`.";
  const partition = {
    enum: Array.from({ length: partitions }, (_, number) => String(number)),
    description: `The CRC-32 of the subject (UTF-8, as in zlib), modulo ${partitions}.`,
  };
  return {
    address: partitions === 0 ? address : `${address}#{partition}`,
    title,
    description: partitions === 0
      ? one
      : `${one} There is one for each partition; a subject is always in the same one.`,
    ...(partitions > 0 && { parameters: { partition } }),
    messages: Object.fromEntries(messages.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
    bindings: { redis: {} },
  };
}

function operation(action: "send" | "receive", name: string, messages: readonly string[]): object {
  return {
    action,
    channel: { $ref: `#/channels/${name}` },
    messages: messages.map((message) => ({ $ref: `#/channels/${name}/messages/${message}` })),
  };
}

function message(name: string, contract: Contract): object {
  return {
    name: contract["x-type"],
    title: `${contract["x-type"]}, version ${contract["x-version"]}`,
    contentType: "application/json",
    headers: headers(contract),
    payload: { $ref: `#/components/schemas/${name}` },
    correlationId: { location: "$message.header#/correlationid" },
  };
}

/** The fields of an entry. One of a shared stream names its type, and one of a class with a subject path its subject. */
function headers(contract: Contract): object {
  const { "x-type": type, "x-subject": path } = contract;
  const fields = { $ref: "#/components/schemas/EntryFields" };
  const always = {
    ...(streamOf(contract) !== type && { type: { const: type } }),
    ...(path !== undefined && { subject: text(`The same as \`${path}\` in the payload.`) }),
  };
  const required = Object.keys(always);
  return required.length === 0 ? fields : { allOf: [fields, { type: "object", properties: always, required }] };
}

/** AsyncAPI reads JSON Schema draft 7, which has other keywords for `prefixItems` and `$defs`. */
function payload({ "x-accepts": _accepts, ...schema }: Contract, names: ReadonlyMap<string, string>): unknown {
  const prefix = "#/$defs/";
  const moved = withReferences(schema, (ref) => {
    const [key, ...rest] = ref.slice(prefix.length).split("/");
    const found = [...names].find(([each]) => pointerPart(each) === key);
    return found === undefined
      ? ref
      : ["#/components/schemas", found[1], ...rest].join("/").replaceAll("/$defs/", "/definitions/");
  });
  return draft7(moved);
}

function draft7(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(draft7);
  if (!isObject(schema)) return schema;
  const { prefixItems, items, $defs, ...rest } = schema;
  const entries: [string, unknown][] = Object.entries(rest).map((
    [key, value],
  ) => [key, key === "const" || key === "enum" || key === "default" || key === "examples" ? value : draft7(value)]);
  if ($defs !== undefined) entries.push(["definitions", draft7($defs)]);
  if (prefixItems !== undefined) entries.push(["items", draft7(prefixItems)]);
  if (items !== undefined) entries.push([prefixItems === undefined ? "items" : "additionalItems", draft7(items)]);
  return Object.fromEntries(entries);
}

const text = (description: string): object => ({ type: "string", description });

const ENTRY_FIELDS = {
  type: "object",
  properties: {
    id: text("Unique among the events of the type: usually a UUIDv7, which contains the event's time."),
    type: text("The type of the event; the name of the stream if absent."),
    version: { type: "string", pattern: "^[0-9]{1,9}$", description: "The version of the payload; 1 if absent." },
    time: {
      type: "string",
      format: "date-time",
      description: "When the event happened; absent if it is the time in the id.",
    },
    source: text("Where the event happened: a URI or a path."),
    subject: text("The thing that the event is about, within its source."),
    correlationid: text("The id that all events with one origin have in common."),
    causationid: text("The id of the event that led to this one."),
    traceparent: text("W3C trace context."),
    revision: {
      type: "string",
      pattern: "^[0-9]+$",
      description:
        "The number of the event among those of its subject, which the store writes; absent without revisions.",
    },
    previous: text(
      "The position of the event of its subject before, which the store writes; absent without revisions.",
    ),

    expires: {
      type: "string",
      format: "date-time",
      description: "Until when groups handle the event; absent if for ever.",
    },
    ext: {
      type: "string",
      contentMediaType: "application/json",
      description: "CloudEvents extension attributes: a JSON object of strings.",
    },
  },
  required: ["id"],
};
