import { Bell } from "../store/_bell.ts";

/** Waits, at most until the signal aborts; never rejects. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Bell().wait(signal, ms);
}
