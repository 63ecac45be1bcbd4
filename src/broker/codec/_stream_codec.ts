import type { DomainEvent } from "../../events/mod.ts";
import type { Fields, StoredRecord } from "../../store/mod.ts";
import { UndecodableError } from "../errors.ts";
import { cloudEventType } from "./_cloud_event.ts";
import type { Decoded, EventCodec } from "./_event_codec.ts";

/** The result of decoding an entry that is of none of the wanted types. */
export const OTHER_TYPE: unique symbol = Symbol("other type");

/** One partition of a stream. */
export interface Partition {
  /** Its number, from 0. */
  readonly number: number;
  /** Its stream in the store. */
  readonly stream: string;
  /** Takes each event that is decoded from an entry of it. */
  decoded(event: DomainEvent): void;
}

/** Decodes the entries of one stream, or of one partition of it, for some of the event classes that share it. */
export class StreamCodec<E extends DomainEvent = DomainEvent> {
  /** The stream in the store: `<prefix>:<name>`, and `#<number>` for a partition. */
  readonly stream: string;
  /** The stream that all partitions belong to: `<prefix>:<name>`. The same as `stream` without partitions. */
  readonly logical: string;
  /** The number of the partition; undefined for a stream without partitions. */
  readonly partition: number | undefined;
  /** The name of the stream; that of the type for a class without the option `stream`. */
  readonly name: string;
  /** The wanted types, in ascending order. */
  readonly types: readonly string[];
  /** The types as the store keeps them with a group: undefined for the stream's own type alone. */
  readonly groupTypes: readonly string[] | undefined;
  /**
   * The version of the class, or the sum of the versions of several classes. A consumer takes deferred entries up to this
   * number. New releases only raise versions, so a release with a higher sum knows all that one with a lower sum knows.
   */
  readonly version: number;
  #codecs: ReadonlyMap<string, EventCodec<E>>;
  #partition: Partition | undefined;

  constructor(codecs: readonly EventCodec<E>[], partition?: Partition) {
    const [{ stream, definition }] = codecs as readonly [EventCodec<E>, ...EventCodec<E>[]];
    this.stream = partition?.stream ?? stream;
    this.logical = stream;
    this.partition = partition?.number;
    this.#partition = partition;
    this.name = definition.stream;
    this.#codecs = new Map(codecs.map((codec) => [codec.definition.type, codec]));
    this.types = [...this.#codecs.keys()].sort();
    this.groupTypes = this.types.length === 1 && this.types[0] === this.name ? undefined : this.types;
    this.version = codecs.reduce((sum, { definition }) => sum + definition.version, 0);
  }

  /** The codec of one partition of this stream. */
  of(partition: Partition): StreamCodec<E> {
    return new StreamCodec([...this.#codecs.values()], partition);
  }

  /** The number under which to defer an entry of this version: that of a release that knows it and changes no other type. */
  versionFor(type: string, version: number): number {
    const known = this.#codecs.get(type)?.definition.version ?? version;
    return this.version - known + version;
  }

  /** The type of an entry, as {@linkcode typeOf} finds it. */
  typeOf(fields: Fields): string {
    return typeOf(fields, this.name, this.groupTypes !== undefined);
  }

  /** Decodes an entry of this type, unless the type is not wanted; as {@linkcode EventCodec.decode}. */
  decode(type: string, record: StoredRecord): Decoded<E> | Promise<Decoded<E>> | typeof OTHER_TYPE {
    const decoded = this.#codecs.get(type)?.decode(record) ?? OTHER_TYPE;
    if (this.#partition !== undefined) this.#noteDecoded(decoded, this.#partition);
    return decoded;
  }

  #noteDecoded(decoded: Decoded<E> | Promise<Decoded<E>> | typeof OTHER_TYPE, partition: Partition): void {
    if (decoded instanceof Promise) {
      // The caller takes the error.
      decoded.then((event) => this.#noteDecoded(event, partition), () => {});
    } else if (decoded !== OTHER_TYPE && !(decoded instanceof UndecodableError)) partition.decoded(decoded);
  }
}

/**
 * The type that an entry says it has; that of the stream's name when the entry does not say.
 *
 * @param shared Whether several types share the stream. In a stream of one type, a CloudEvent of another type is a mistake
 * of its writer, which decoding reports.
 */
export function typeOf(fields: Fields, name: string, shared: boolean): string {
  // Fast path: nearly every entry of a stream of one type has exactly these two fields.
  if (fields.length === 4 && fields[0] === "id" && fields[2] === "payload") return name;
  for (let at = 0; at < fields.length; at += 2) if (fields[at] === "type") return fields[at + 1] ?? name;
  return shared ? cloudEventType(fields) ?? name : name;
}

/** The codecs by stream, in the order of the first class of each stream. */
export function byStream<E extends DomainEvent>(codecs: readonly EventCodec<E>[]): StreamCodec<E>[] {
  return [...Map.groupBy(codecs, ({ stream }) => stream).values()].map((sharing) => new StreamCodec(sharing));
}
