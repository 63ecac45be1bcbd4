const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };
const nextTurn = setImmediate ?? ((callback: () => void) => setTimeout(callback, 0));

/**
 * Calls back after clients have written the commands that they were given until now. Some clients write in the next
 * turn of the event loop; this is the turn after it.
 */
export function afterWrites(callback: () => void): void {
  nextTurn(() => nextTurn(callback));
}
