import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, StoredRecord } from "../../store/mod.ts";
import { cloudEventType } from "./_cloud_event.ts";
import type { Decoded, EventCodec } from "./_event_codec.ts";

/** The result of decoding an entry that is of none of the wanted types. */
export const OTHER_TYPE: unique symbol = Symbol("other type");

/** Decodes the entries of one stream for some of the event classes that share it. */
export class StreamCodec<E extends DomainEvent = DomainEvent> {
  /** The stream in the store: `<prefix>:<name>`. */
  readonly stream: string;
  /** The name of the stream; that of the type for a class without the option `stream`. */
  readonly name: string;
  /** The wanted types, in ascending order. */
  readonly types: readonly string[];
  #codecs: ReadonlyMap<string, EventCodec<E>>;

  constructor(codecs: readonly EventCodec<E>[]) {
    const [{ stream, definition }] = codecs as readonly [EventCodec<E>, ...EventCodec<E>[]];
    this.stream = stream;
    this.name = definition.stream;
    this.#codecs = new Map(codecs.map((codec) => [codec.definition.type, codec]));
    this.types = [...this.#codecs.keys()].sort();
  }

  /** The types as the store keeps them with a group: undefined for the stream's own type alone. */
  get groupTypes(): readonly string[] | undefined {
    return this.types.length === 1 && this.types[0] === this.name ? undefined : this.types;
  }

  /**
   * A number that grows with the version of each class: a group defers an entry until a consumer with a high enough number
   * joins. It is the version of the class where there is one class, and the sum of the versions where there are several:
   * while new releases only raise versions, a consumer with a higher number knows everything that a lower one knows.
   */
  get version(): number {
    let sum = 0;
    for (const { definition } of this.#codecs.values()) sum += definition.version;
    return sum;
  }

  /** The number of the first release that knows this version of a type, as far as this release can tell. */
  versionFor(type: string, version: number): number {
    const known = this.#codecs.get(type)?.definition.version ?? version;
    return this.version - known + version;
  }

  /** The type that an entry says it has; that of the stream's name when it says nothing. */
  typeOf(fields: Fields): string {
    // The fast path: nearly every entry of an unshared stream has exactly these two fields.
    if (fields.length === 4 && fields[0] === "id" && fields[2] === "payload") return this.name;
    for (let at = 0; at < fields.length; at += 2) if (fields[at] === "type") return fields[at + 1] ?? this.name;
    // In a stream of one type a CloudEvent of another one is a mistake, which decoding tells.
    return this.groupTypes === undefined ? this.name : cloudEventType(fields) ?? this.name;
  }

  /** Decodes an entry, unless it is of another type; as {@linkcode EventCodec.decode}. */
  decode(record: StoredRecord): Decoded<E> | Promise<Decoded<E>> | typeof OTHER_TYPE {
    const codec = this.#codecs.get(this.typeOf(record.fields));
    return codec === undefined ? OTHER_TYPE : codec.decode(record);
  }
}

/** The codecs by stream, in the order of the first class of each stream. */
export function byStream<E extends DomainEvent>(codecs: readonly EventCodec<E>[]): StreamCodec<E>[] {
  return [...Map.groupBy(codecs, ({ stream }) => stream).values()].map((sharing) => new StreamCodec(sharing));
}
