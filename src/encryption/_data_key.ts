import { toBase64 } from "./_base64.ts";
import type { DataKey } from "./key_store.ts";

/** A new random key under a new name. */
export function newDataKey(): DataKey {
  return {
    id: toBase64(crypto.getRandomValues(new Uint8Array(9))),
    secret: crypto.getRandomValues(new Uint8Array(32)),
  };
}
