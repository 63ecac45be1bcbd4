const { setImmediate } = globalThis as { setImmediate?: (callback: () => void) => unknown };

/** Calls back in the next turn of the event loop: clients write what they were given only between turns. */
export const macrotask: (callback: () => void) => void = setImmediate
  ? (callback) => void setImmediate(callback)
  : (callback) => void setTimeout(callback, 0);
