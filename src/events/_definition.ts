import { show } from "./_check.ts";
import { isInstance, readProperty } from "./_foreign.ts";
import type { Mask } from "./_mask.ts";
import type { SubjectPath } from "./_subject.ts";
import type { RetentionOptions } from "./event_options.ts";
import type { StandardSchemaV1 } from "./validation/standard_schema.ts";

/** Converts the detail of one version to the next. */
// deno-lint-ignore no-explicit-any
export type Upcaster = (detail: any) => unknown;

/** The options of `defineEvent`, checked and complete. */
export interface EventDefinition {
  readonly type: string;
  /** The stream that the class shares with others; by default its type. */
  readonly stream: string;
  /** Where its events have their subject; undefined when the class takes it from nowhere. */
  readonly subject: SubjectPath | undefined;
  readonly version: number;
  /** Each upcaster by the version that it converts, without a gap from the lowest version to `version`. */
  readonly upcast: Readonly<Record<number, Upcaster>>;
  readonly retention: Readonly<RetentionOptions> | undefined;
  readonly sensitive: readonly string[];
  readonly mask: Mask | undefined;
  /** Whether the sensitive values are stored encrypted. */
  readonly encrypt: boolean;
  readonly schema: StandardSchemaV1 | undefined;
}

/** The key under which a class made by `defineEvent` holds its definition; subclasses inherit it. */
export const DEFINITION: unique symbol = Symbol("definition");

/** Why a class of another copy of this package cannot be used, and the way out; part of an error message. */
export const ANOTHER_COPY =
  "another copy of @tidings/broker made that class (two versions or two paths of the package " +
  "are loaded); use one version of it everywhere, imported from one place";

/** The definition of a class made by `defineEvent`, or of a subclass; a TypeError for anything else. */
export function definitionOf(eventClass: unknown): EventDefinition {
  const definition = findDefinition(eventClass);
  if (definition !== undefined) return definition;
  if (isFromAnotherCopy(eventClass)) {
    throw new TypeError(`Cannot use ${show(eventClass)} as an event class: ${ANOTHER_COPY}`);
  }
  throw new TypeError(
    `Cannot use ${show(eventClass)} as an event class: it is not made by defineEvent; ` +
      `write class X extends defineEvent("X")<Detail> {}`,
  );
}

/** The definition of a class made by `defineEvent`, or of a subclass; undefined for anything else. */
export function findDefinition(eventClass: unknown): EventDefinition | undefined {
  if (typeof eventClass !== "function") return undefined;
  return (eventClass as { readonly [DEFINITION]?: EventDefinition })[DEFINITION];
}

/** Whether another copy of this package made the class: its definition has another key. */
export function isFromAnotherCopy(eventClass: unknown): boolean {
  if (typeof eventClass !== "function" || findDefinition(eventClass) !== undefined) return false;
  return typeof readProperty(eventClass, "type") === "string" && isInstance(eventClass.prototype, Event);
}
