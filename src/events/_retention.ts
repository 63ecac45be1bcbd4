import { checkKeys, checkNumber } from "./_check.ts";
import type { RetentionOptions } from "./event_options.ts";

/** A frozen copy of retention options. Throws a TypeError for an unknown key, and a RangeError for a number out of range. */
export function checkRetention(retention: RetentionOptions): Readonly<RetentionOptions> {
  checkKeys("set retention", retention, ["maxAge", "maxLength", "maxBytes"]);
  const { maxAge, maxLength, maxBytes } = retention;
  if (maxAge !== undefined) {
    checkNumber("retention.maxAge (ms)", maxAge, { min: 1, max: Number.MAX_SAFE_INTEGER });
  }
  if (maxLength !== undefined) {
    checkNumber("retention.maxLength", maxLength, { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true });
  }
  if (maxBytes !== undefined) {
    checkNumber("retention.maxBytes", maxBytes, { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true });
  }
  return Object.freeze({ ...retention });
}
