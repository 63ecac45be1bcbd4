import { show } from "../../events/_check.ts";
import { ANOTHER_COPY, findDefinition, isFromAnotherCopy } from "../../events/_definition.ts";
import { readProperty } from "../../events/_foreign.ts";
import type { DomainEvent, EventClass } from "../../events/mod.ts";
import type { DetailCipher } from "../detail_cipher.ts";
import { EventCodec } from "./_event_codec.ts";

/** The codecs of a broker's event classes, by type. */
export class EventCodecs implements Iterable<EventCodec> {
  #byType = new Map<string, EventCodec>();

  constructor(events: readonly EventClass[], prefix: string, cipher: DetailCipher | undefined) {
    if (cipher !== undefined && (typeof cipher?.seal !== "function" || typeof cipher.open !== "function")) {
      throw new TypeError(
        `Cannot make a broker with the encryption ${show(cipher)}: give an object with seal and open`,
      );
    }
    if (!Array.isArray(events) || events.length === 0) {
      const given = Array.isArray(events) ? "an empty array" : show(events);
      throw new TypeError(`Cannot make a broker with ${given} as events: list the event classes it is for`);
    }
    for (const eventClass of events) {
      const codec = new EventCodec(eventClass, prefix, cipher);
      const { type } = codec.definition;
      if (this.#byType.has(type)) {
        throw new TypeError(
          `Cannot make a broker: two classes in events have the type "${type}"; ${explainTwoClasses(type)}`,
        );
      }
      this.#byType.set(type, codec);
    }
    for (const [stream, codecs] of Map.groupBy(this, ({ stream }) => stream)) assertOneRetention(stream, codecs);
  }

  [Symbol.iterator](): Iterator<EventCodec> {
    return this.#byType.values();
  }

  /** The streams of all classes, each once. */
  get streams(): string[] {
    return [...new Set([...this].map(({ stream }) => stream))];
  }

  /** The codec of a type; undefined when no class of the broker has that type. */
  ofType(type: string): EventCodec | undefined {
    return this.#byType.get(type);
  }

  /** The codec of an event that {@linkcode assertPublishable} has accepted. */
  ofEvent(event: DomainEvent): EventCodec {
    return this.#byType.get(event.type)!;
  }

  /** The codec of a class. Throws a TypeError if the class is not in the broker's events. */
  ofClass<C extends EventClass>(eventClass: C): EventCodec<InstanceType<C>> {
    const type = eventClass?.type;
    const codec = this.#byType.get(type);
    if (codec?.isFor(eventClass)) return codec as unknown as EventCodec<InstanceType<C>>;
    if (codec !== undefined && findDefinition(eventClass) !== undefined) {
      throw new TypeError(
        `Cannot use ${show(eventClass)}: the broker's events hold another class of the type "${type}"; ` +
          explainTwoClasses(type),
      );
    }
    if (isFromAnotherCopy(eventClass)) throw new TypeError(`Cannot use ${show(eventClass)}: ${ANOTHER_COPY}`);
    throw new TypeError(
      `Cannot use ${show(eventClass)}: it is not in the broker's events ${this.#types()}; add it there`,
    );
  }

  /** The codecs of one class or of a list of classes. Throws a TypeError for an empty list. */
  ofClasses<C extends EventClass>(events: C | readonly C[]): EventCodec<InstanceType<C>>[] {
    const classes: readonly C[] = Array.isArray(events) ? events : [events];
    if (classes.length === 0) throw new TypeError("Cannot use an empty list of event classes: give at least one");
    return classes.map((eventClass) => this.ofClass(eventClass));
  }

  /** Throws a TypeError unless the value is an event of one of the broker's classes. */
  assertPublishable(event: unknown): void {
    const type = (event as Partial<DomainEvent> | null | undefined)?.type;
    const codec = this.#byType.get(type!);
    if (codec?.accepts(event)) return;
    if (codec !== undefined && findDefinition((event as object).constructor) !== undefined) {
      throw new TypeError(
        `Cannot publish "${type}": the event is of another class of that type than the one in the broker's events; ` +
          explainTwoClasses(type!),
      );
    }
    if (isFromAnotherCopy(readProperty(event, "constructor"))) {
      throw new TypeError(`Cannot publish ${show(type)}: ${ANOTHER_COPY}`);
    }
    throw new TypeError(
      `Cannot publish ${type === undefined ? show(event) : show(type)}: it is no instance of a class in the broker's ` +
        `events ${this.#types()}; add its class there`,
    );
  }

  #types(): string {
    return `(${[...this.#byType.keys()].join(", ")})`;
  }
}

/** Classes that share a stream share its retention: at most one of them may state it, or all the same. */
function assertOneRetention(stream: string, codecs: readonly EventCodec[]): void {
  const stated = codecs.filter(({ definition }) => definition.retention !== undefined);
  const key = ({ definition: { retention } }: EventCodec) =>
    `${retention?.maxAge} ${retention?.maxLength} ${retention?.maxBytes}`;
  const other = stated.find((codec) => key(codec) !== key(stated[0]!));
  if (other === undefined) return;
  throw new TypeError(
    `Cannot make a broker: ${
      stated[0]!.definition.type
    } and ${other.definition.type} share ${stream} and have different ` +
      `retentions; give both the same, or only one of them`,
  );
}

function explainTwoClasses(type: string): string {
  return `either the module that defines "${type}" was loaded twice (two versions or two paths of it), or defineEvent ` +
    `was called twice with that type: define the class once and import it from one place`;
}
