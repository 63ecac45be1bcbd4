import { generate } from "@std/uuid/v7";

// A UUIDv7 has 48 bits of time, four bits of version, and random bits, which come from a UUIDv4 of the platform.
let lastMs = -1;
let prefix = "";

/**
 * A new UUIDv7. The first part of a random UUID of the platform is replaced by the time, because the platform formats a UUID
 * much faster than JavaScript can.
 *
 * @param ms The time in the UUID, in milliseconds since the epoch.
 */
export function uuidv7(ms: number = Date.now()): string {
  // A web page in an insecure context has no crypto.randomUUID().
  if (crypto.randomUUID === undefined) return generate(ms);
  if (ms !== lastMs) {
    const hex = ms.toString(16).padStart(12, "0");
    prefix = `${hex.slice(0, 8)}-${hex.slice(8)}-7`;
    lastMs = ms;
  }
  return prefix + crypto.randomUUID().slice(15);
}
