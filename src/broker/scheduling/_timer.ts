/** A timer that does not keep the process alive. */
export interface Timer {
  stop(): void;
}

/** Calls back after `ms` milliseconds, if the process still runs then. */
export function startTimer(callback: () => void, ms: number): Timer {
  const timer: unknown = setTimeout(callback, ms);
  const { Deno } = globalThis as { Deno?: { unrefTimer?(id: number): void } };
  if (typeof timer === "number") Deno?.unrefTimer?.(timer);
  else (timer as { unref?(): void }).unref?.();
  return { stop: () => clearTimeout(timer as number) };
}
