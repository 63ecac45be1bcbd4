/** Hands an error that nobody listens to over to the platform: by default it ends the process, as it should. */
export function reportUnheard(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void };
  if (reportError) reportError(error);
  // Node has no reportError: thrown outside every call, the error becomes an uncaught exception as well.
  else {queueMicrotask(() => {
      throw error;
    });}
}
