import { reasonOf } from "../../events/_check.ts";
import { isInstance } from "../../events/_foreign.ts";
import type { EventDefinition } from "../../events/_definition.ts";
import type { Position } from "../../store/mod.ts";
import { NewerVersionError, UndecodableError } from "../errors.ts";

/** The entry is of a newer version than this process knows. */
class TooNew extends TypeError {
  readonly version: number;

  constructor(version: number, known: number) {
    super(`it is of version ${version}, and this class knows up to ${known}`);
    this.version = version;
  }
}

/**
 * The version of an entry, from its fields. Call it before reading the payload: the payload of a newer version may have
 * another format.
 *
 * @throws If it is newer than the class; {@linkcode decodingError} turns this error into a `NewerVersionError`.
 */
export function versionOf(
  { id, version }: { readonly id?: string; readonly version?: string },
  { upcast, version: current }: Pick<EventDefinition, "upcast" | "version">,
): number {
  // The Python predecessor wrote neither id nor version: such entries are version 0 where the class upcasts from 0.
  if (version === undefined) return id === undefined && upcast[0] !== undefined ? 0 : 1;
  const number = /^(0|[1-9]\d{0,15})$/.test(version) ? Number(version) : NaN;
  if (!Number.isSafeInteger(number)) {
    throw new TypeError(`its version is ${JSON.stringify(version.slice(0, 60))}, not a number`);
  }
  if (number > current) throw new TooNew(number, current);
  return number;
}

/** The error for an entry whose decoding failed with `cause`. */
export function decodingError(
  type: string,
  position: Position,
  raw: Readonly<Record<string, string>>,
  cause: unknown,
): UndecodableError {
  const message = `Cannot decode ${type} at ${position}: ${reasonOf(cause)}`;
  if (isInstance(cause, TooNew)) {
    return new NewerVersionError(message, position, raw, { cause, version: cause.version });
  }
  return new UndecodableError(message, position, raw, { cause });
}
