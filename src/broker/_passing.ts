import { StoreError } from "../store/mod.ts";

/** True for a failure of the store that the same call may not meet again. */
export function mayPass(error: unknown): error is StoreError {
  return error instanceof StoreError && (error.kind === "transient" || error.kind === "uncertain");
}
