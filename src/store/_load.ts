interface AsyncHooks {
  readonly AsyncLocalStorage: { snapshot?(): <R>(fn: () => R) => R };
}

// By getBuiltinModule, so that nothing is imported where there is no such module, as in a browser.
const hooks = (globalThis as { process?: { getBuiltinModule?(name: string): AsyncHooks | undefined } }).process
  ?.getBuiltinModule?.("node:async_hooks");

const outsideOfHandlers = hooks?.AsyncLocalStorage.snapshot?.() ?? (<R>(fn: () => R): R => fn());

/**
 * Loads a module on demand: `load(() => import("./_module.ts"))`.
 *
 * Deno 2.9 lets the AsyncLocalStorage context of the first `import()` of a module leak into callbacks that have no context of
 * their own, like the requests of a server. A module that is loaded in a handler would make the handler's event the cause of
 * all that they publish. So modules are loaded outside of any context.
 */
export function load<Module>(importing: () => Promise<Module>): Promise<Module> {
  return outsideOfHandlers(importing);
}
