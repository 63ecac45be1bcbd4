import { encodeBase64Url } from "@std/encoding/base64url";
import type { DataKey } from "./key_store.ts";

/** A new random key under a new name. */
export function newDataKey(): DataKey {
  return {
    id: encodeBase64Url(crypto.getRandomValues(new Uint8Array(9))),
    secret: crypto.getRandomValues(new Uint8Array(32)),
  };
}
