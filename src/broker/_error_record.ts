import { show } from "../events/_check.ts";
import type { ErrorRecord } from "../store/mod.ts";

/** What a dead letter keeps of whatever was thrown. */
export function errorRecord(error: unknown): ErrorRecord {
  if (!(error instanceof Error)) return { name: "Error", message: typeof error === "string" ? error : show(error) };
  const { name, message, stack } = error;
  return stack === undefined ? { name, message } : { name, message, stack };
}
