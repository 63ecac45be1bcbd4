import type { Attributes } from "@opentelemetry/api";
import { isInstance, readText } from "../events/_foreign.ts";

/**
 * The version of OpenTelemetry's semantic conventions that names and attributes follow. Those for messaging are still in
 * development: a later version may rename some.
 *
 * @see {@link https://opentelemetry.io/docs/specs/semconv/messaging/}
 */
export const SCHEMA_URL = "https://opentelemetry.io/schemas/1.45.0";

/** The name of this instrumentation: tracers and meters carry it. */
export const SCOPE = "@tidings/broker";

/** The attribute of every signal of the conventions. */
export const SYSTEM: Attributes = { "messaging.system.name": "tidings" };

// Version 1.45.0 renamed the attribute; most backends of traces look for the old name.
export const SPAN_SYSTEM: Attributes = { ...SYSTEM, "messaging.system": "tidings" };

/** Names of attributes: the type of the events, the group, and the number of a partition, which is at most 1,023. */
export const DESTINATION = "messaging.destination.name";
export const GROUP = "messaging.consumer.group.name";
export const PARTITION = "tidings.partition";

/** Types of operations in the conventions. */
export type OperationType = "create" | "send" | "receive" | "process" | "settle";

/** The attributes of an operation: its name, and its type where the conventions have one. */
export function operation(name: string, type?: OperationType): Attributes {
  return { "messaging.operation.name": name, ...(type !== undefined && { "messaging.operation.type": type }) };
}

// A handler may throw errors of any name, but an attribute must have few different values.
const MAX_TYPES = 100;
const CLASS_NAME = /^[A-Za-z_$][\w$]{0,63}$/;
const OTHER = "_OTHER";

/** The values of `error.type` that one instrumentation gives: class names, at most a hundred different ones. */
export class ErrorTypes {
  #known = new Set<string>();

  /** The class name of an error; `_OTHER` when it has none, or once there are too many. */
  of(error: unknown): string {
    const name = isInstance(error, Error) ? readText(error, "name") ?? OTHER : OTHER;
    if (!CLASS_NAME.test(name) || !this.#known.has(name) && this.#known.size >= MAX_TYPES) return OTHER;
    this.#known.add(name);
    return name;
  }
}
