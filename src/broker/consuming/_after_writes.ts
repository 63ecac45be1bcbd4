const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
const nextTurn = setImmediate ?? ((callback: () => void) => setTimeout(callback, 0));

/**
 * Calls back once clients have written what they were given until now: some write in the next turn of the event loop,
 * behind whatever asked for that turn before, and so this is the turn after it.
 */
export function afterWrites(callback: () => void): void {
  nextTurn(() => nextTurn(callback));
}
