import { show } from "../../events/_check.ts";
import type { EventStore } from "../../store/mod.ts";
import type { EventCodec } from "../codec/_event_codec.ts";
import type { StreamOptions } from "../options.ts";
import type { WholeAdmin } from "./_whole_admin.ts";
import { StreamLayout } from "./_stream_layout.ts";

/** The part of a broker whose streams may have partitions. */
export interface StreamLayoutsOptions {
  readonly store: EventStore;
  readonly codecs: Iterable<EventCodec>;
  /** The options of streams, by their names. */
  readonly streams: Readonly<Record<string, StreamOptions>>;
  /** Tells the users of the broker about a problem. */
  warn(message: string): void;
  /** Aborts when the broker has drained. */
  readonly ended: AbortSignal;
}

/**
 * The layouts of a broker's streams. Only streams that have partitions, or could have some, have a layout: those with
 * a class that takes the subject from its detail.
 */
export class StreamLayouts {
  #store: EventStore;
  #byStream = new Map<string, StreamLayout>();
  /** By stream, a type whose class takes no subject from the detail. */
  #withoutSubject = new Map<string, string>();

  /** @throws {TypeError} If a stream is unknown, or a class of a partitioned stream has no subject. */
  constructor({ store, codecs, streams, warn, ended }: StreamLayoutsOptions) {
    this.#store = store;
    const byName = Map.groupBy(codecs, ({ definition }) => definition.stream);
    for (const name of Object.keys(streams)) {
      if (byName.has(name)) continue;
      throw new TypeError(
        `Cannot make a broker with options for the stream ${show(name)}: its events have the streams ` +
          `${[...byName.keys()].join(", ")}; check the name`,
      );
    }
    for (const [name, sharing] of byName) {
      const { partitions = 0, revisions } = Object.hasOwn(streams, name) ? streams[name]! : {};
      const without = sharing.find(({ definition }) => definition.subject === undefined);
      if (without !== undefined && (partitions > 0 || revisions === true)) {
        const { type } = without.definition;
        const feature = partitions > 0 ? "partitions" : "revisions";
        throw new TypeError(
          `Cannot make a broker: the stream "${name}" has ${feature}, and the class ${type} takes no subject from its ` +
            `detail; add the option subject to the class, such as defineEvent("${type}", { subject: "${
              type[0]!.toLowerCase()
            }${type.slice(1)}Id" }), or leave ${feature} out`,
        );
      }
      if (without !== undefined) this.#withoutSubject.set(without.stream, without.definition.type);
      if (sharing.every(({ definition }) => definition.subject === undefined)) continue;
      const layout = new StreamLayout({
        store,
        codecs: sharing,
        partitions,
        revisions: without === undefined && revisions !== false,
        warn,
        ended,
      });
      this.#byStream.set(layout.stream, layout);
    }
  }

  /** Whether no stream has a layout. */
  get none(): boolean {
    return this.#byStream.size === 0;
  }

  /** The layout of a stream, or of the stream that this partition belongs to; undefined for one that never has partitions. */
  of(stream: string): StreamLayout | undefined {
    const end = stream.lastIndexOf("#");
    return this.#byStream.get(end < 0 ? stream : stream.slice(0, end));
  }

  /** Throws a TypeError unless the events of each subject of this stream are numbered. */
  assertRevisions(action: string, stream: string): void {
    const layout = this.#byStream.get(stream);
    if (layout?.revisions) return;
    const type = this.#withoutSubject.get(stream);
    throw new TypeError(
      `Cannot ${action} of ${stream}: its events have no revisions; ${
        type === undefined
          ? `leave streams.${layout!.name}.revisions out of the options of the broker`
          : `add the option subject to the class ${type}`
      }`,
    );
  }

  /** The operations on a stream and all its partitions. */
  async admin(stream: string): Promise<WholeAdmin> {
    return await this.#byStream.get(stream)?.admin() ?? this.#store.admin(stream);
  }
}
