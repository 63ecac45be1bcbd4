import { reasonOf } from "../../events/_check.ts";
import type { EventDefinition } from "../../events/_definition.ts";
import type { Position } from "../../store/mod.ts";
import { NewerVersionError, UndecodableError } from "../errors.ts";

/** Why an entry is not for this process, but for one of a newer release. */
class TooNew extends TypeError {
  readonly version: number;

  constructor(version: number, known: number) {
    super(`it is of version ${version}, and this class knows up to ${known}`);
    this.version = version;
  }
}

/**
 * The version of an entry, as its fields say. To be asked before its payload is looked at: how later versions write theirs
 * is not known here.
 *
 * @throws If it is above that of the class; {@linkcode decodingError} knows this error.
 */
export function versionOf(
  { id, version }: { readonly id?: string; readonly version?: string },
  { upcast, version: current }: Pick<EventDefinition, "upcast" | "version">,
): number {
  // The Python ancestor wrote neither id nor version: its entries are version 0 where the class knows what those are.
  if (version === undefined) return id === undefined && upcast[0] !== undefined ? 0 : 1;
  const number = /^(0|[1-9]\d{0,15})$/.test(version) ? Number(version) : NaN;
  if (!Number.isSafeInteger(number)) {
    throw new TypeError(`its version is ${JSON.stringify(version.slice(0, 60))}, not a number`);
  }
  if (number > current) throw new TooNew(number, current);
  return number;
}

/** What becomes of an error that decoding failed with. */
export function decodingError(
  type: string,
  position: Position,
  raw: Readonly<Record<string, string>>,
  cause: unknown,
): UndecodableError {
  const message = `Cannot decode ${type} at ${position}: ${reasonOf(cause)}`;
  if (cause instanceof TooNew) return new NewerVersionError(message, position, raw, { cause, version: cause.version });
  return new UndecodableError(message, position, raw, { cause });
}
