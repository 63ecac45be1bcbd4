import { recordIn } from "../events/_state.ts";
import type { DomainEvent } from "../events/mod.ts";

/** A delivery of a group, as its handler's context knows it. */
export interface HandledDelivery {
  /** The consumer that claimed it. */
  readonly source: { readonly stream: string; readonly group: string };
  /** The attempt that runs, or the last one that ran. */
  readonly attempt: number;
  /** Whether the handler of this attempt has not ended: closing waits for it. */
  readonly busy: boolean;
}

/** A call of a handler, of live listeners, or of a function that was given to `replay`. */
interface Call {
  readonly event: DomainEvent;
  /** The delivery whose handler the call is, or contains the call; undefined outside of groups. */
  readonly delivery: HandledDelivery | undefined;
  readonly attempt: number | undefined;
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

/** Calls `fn` to handle `event`, for a group's delivery or none: events that `fn` publishes are caused by this one. */
export function handling<Args extends unknown[], R>(
  event: DomainEvent,
  delivery: HandledDelivery | undefined,
  fn: (...args: Args) => R,
  ...args: Args
): R {
  if (context === undefined) return fn(...args);
  return context.run({ event, delivery, attempt: delivery?.attempt }, fn, ...args);
}

/** The same for a replayed event: a handler that replays events waits for `fn`, so `fn` counts as inside the handler. */
export function replaying<R>(event: DomainEvent, fn: (event: DomainEvent) => R): R {
  if (context === undefined) return fn(event);
  const { delivery, attempt } = context.getStore() ?? {};
  return context.run({ event, delivery, attempt }, fn, event);
}

/**
 * The delivery whose handler contains the caller and has not ended: closing waits for it. Undefined outside of handlers,
 * and where there is no AsyncLocalStorage.
 */
export function enclosingDelivery(): HandledDelivery | undefined {
  const { delivery, attempt } = context?.getStore() ?? {};
  return delivery?.busy && delivery.attempt === attempt ? delivery : undefined;
}
