import { recordIn } from "../events/_state.ts";
import type { DomainEvent } from "../events/mod.ts";

/** A delivery of a group, as its handler's context knows it. */
export interface HandledDelivery {
  /** The consumer that claimed it. */
  readonly source: { readonly logical: string; readonly group: string };
  /** The attempt that runs, or the last one that ran. */
  readonly attempt: number;
  /** Whether the handler of this attempt has not ended: closing waits for it. */
  readonly busy: boolean;
}

/** A call of a handler, of live listeners, or of a function that was given to `replay`. */
export interface Call {
  /** Undefined for a batch of several events. */
  readonly event: DomainEvent | undefined;
  /**
   * The delivery whose handler is called; undefined outside of groups, and once the handler has ended. It is removed then,
   * because Deno keeps a call until garbage is collected, and collecting costs time for all that the call leads to.
   */
  delivery: HandledDelivery | undefined;
  /** The call that contains this one; undefined unless it is of a function that was given to `replay`. */
  readonly outer: Call | undefined;
}

interface AsyncContext {
  getStore(): Call | undefined;
  run<Args extends unknown[], R>(store: Call, fn: (...args: Args) => R, ...args: Args): R;
}

// By getBuiltinModule, so that nothing is imported where there is no such module: a browser has no causation then.
const AsyncLocalStorage = (globalThis as {
  process?: { getBuiltinModule?(name: string): { AsyncLocalStorage: new () => AsyncContext } | undefined };
}).process?.getBuiltinModule?.("node:async_hooks")?.AsyncLocalStorage;

const context: AsyncContext | undefined = AsyncLocalStorage && new AsyncLocalStorage();

/** Notes on events that a handler publishes which event caused them. */
export function noteCause(events: readonly DomainEvent[]): void {
  const cause = context?.getStore()?.event;
  if (cause === undefined) return;
  for (const event of events) {
    const record = recordIn(event);
    record.correlationId ??= cause.correlationId ?? cause.id;
    record.causationId ??= cause.id;
  }
}

/** Calls `fn` to handle the event of `call`: events that `fn` publishes are caused by this one. */
export function handling<Args extends unknown[], R>(call: Call, fn: (...args: Args) => R, ...args: Args): R {
  return context === undefined ? fn(...args) : context.run(call, fn, ...args);
}

/** The same for a replayed event: a handler that replays events waits for `fn`, so `fn` counts as inside the handler. */
export function replaying<R>(event: DomainEvent, fn: (event: DomainEvent) => R): R {
  return handling({ event, delivery: undefined, outer: context?.getStore() }, fn, event);
}

/**
 * The delivery whose handler contains the caller and has not ended: closing waits for it. Undefined outside of handlers,
 * and where there is no AsyncLocalStorage.
 */
export function enclosingDelivery(): HandledDelivery | undefined {
  let call = context?.getStore();
  while (call?.outer !== undefined) call = call.outer;
  return call?.delivery;
}
