import { generate } from "@std/uuid/v7";

// The first 48 bits are the time, the next four the version; the rest is the platform's randomness as a UUIDv4 has it.
let lastMs = -1;
let prefix = "";

/**
 * A new UUIDv7, made from a random UUID of the platform by replacing its first part with the time: the platform formats a
 * UUID much faster than JavaScript can.
 *
 * @param ms The time in it, in milliseconds since the epoch.
 */
export function uuidv7(ms: number = Date.now()): string {
  // A web page in an insecure context has no randomUUID.
  if (crypto.randomUUID === undefined) return generate(ms);
  if (ms !== lastMs) {
    const hex = ms.toString(16).padStart(12, "0");
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
    lastMs = ms;
  }
  return prefix + crypto.randomUUID().slice(15);
}
