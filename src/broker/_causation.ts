import { recordIn } from "../events/_state.ts";
import type { DomainEvent } from "../events/mod.ts";

interface AsyncContext {
  getStore(): DomainEvent | undefined;
  run<Args extends unknown[], R>(store: DomainEvent, fn: (...args: Args) => R, ...args: Args): R;
}

// By getBuiltinModule, so that nothing is imported where there is no such module: a browser has no causation then.
const AsyncLocalStorage = (globalThis as {
  process?: { getBuiltinModule?(name: string): { AsyncLocalStorage: new () => AsyncContext } | undefined };
}).process?.getBuiltinModule?.("node:async_hooks")?.AsyncLocalStorage;

const context: AsyncContext | undefined = AsyncLocalStorage && new AsyncLocalStorage();

/** Notes on events that are published by a handler what caused them. */
export function noteCause(events: readonly DomainEvent[]): void {
  const cause = context?.getStore();
  if (cause === undefined) return;
  for (const event of events) {
    const record = recordIn(event);
    record.correlationId ??= cause.correlationId ?? cause.id;
    record.causationId ??= cause.id;
  }
}

/** The event whose handler is the caller; undefined outside of handlers, and where there is no AsyncLocalStorage. */
export function handledEvent(): DomainEvent | undefined {
  return context?.getStore();
}

/** Calls `fn` in the context of handling `event`: what it publishes is caused by it. */
export function handling<Args extends unknown[], R>(event: DomainEvent, fn: (...args: Args) => R, ...args: Args): R {
  return context === undefined ? fn(...args) : context.run(event, fn, ...args);
}
