import { checkSignal, show } from "../../events/_check.ts";
import { reportable, thenable, unreadable } from "../../events/_foreign.ts";
import { BrokerErrorEvent } from "../lifecycle_events.ts";

type AnyListener = EventListenerOrEventListenerObject;

/** The EventTarget that the listeners belong to: its original methods, and callbacks. */
export interface ListenerTarget {
  attach(type: string, listener: EventListener, options: AddEventListenerOptions): void;
  detach(type: string, listener: EventListener, options: EventListenerOptions): void;
  dispatch(event: Event): void;
  /** Called when a listener of this type was added or removed. */
  changed?(type: string): void;
  /** Takes an error that the target has no `error` listener for. */
  unheard?(error: unknown): void;
}

/** The listeners of an EventTarget. It knows which types have listeners, and an error of a listener stops nothing. */
export class Listeners {
  #target: ListenerTarget;
  /** Wrapped listeners by type, then listener, then whether they capture. */
  #byType = new Map<string, Map<AnyListener, Map<boolean, EventListener>>>();

  constructor(target: ListenerTarget) {
    this.#target = target;
  }

  /** Whether this type has a listener. */
  has(type: string): boolean {
    return this.#byType.has(type);
  }

  add(type: string, listener: AnyListener | null, options: boolean | AddEventListenerOptions = {}): void {
    // As in a browser, a missing listener is ignored.
    if (listener === null || listener === undefined) return;
    if (typeof listener !== "function" && typeof listener !== "object") {
      throw new TypeError(`Cannot listen with ${show(listener)}: give a function, or an object with handleEvent`);
    }
    const given = typeof options === "boolean" ? { capture: options } : options;
    const { capture = false, once = false, signal, passive } = given;
    checkSignal(signal);
    if (signal?.aborted) return;
    const ofType = getOrAdd(this.#byType, type, () => new Map<AnyListener, Map<boolean, EventListener>>());
    const ofListener = getOrAdd(ofType, listener, () => new Map<boolean, EventListener>());
    if (ofListener.has(capture)) return;
    const wrapped = (event: Event) => {
      if (once) this.remove(type, listener, capture);
      this.#call(listener, event);
    };
    ofListener.set(capture, wrapped);
    this.#target.attach(type, wrapped, passive === undefined ? { capture } : { capture, passive });
    signal?.addEventListener("abort", () => this.remove(type, listener, capture), { once: true });
    this.#target.changed?.(type);
  }

  remove(type: string, listener: AnyListener | null, options: boolean | EventListenerOptions = {}): void {
    const capture = typeof options === "boolean" ? options : options.capture ?? false;
    const ofType = this.#byType.get(type);
    const ofListener = listener === null ? undefined : ofType?.get(listener);
    const wrapped = ofListener?.get(capture);
    if (wrapped === undefined) return;
    this.#target.detach(type, wrapped, { capture });
    ofListener!.delete(capture);
    if (ofListener!.size === 0) ofType!.delete(listener!);
    if (ofType!.size === 0) this.#byType.delete(type);
    this.#target.changed?.(type);
  }

  #call(listener: AnyListener, event: Event): void {
    const failed = (error: unknown) => event.type === "error" ? reportUnheard(error) : this.report(error);
    try {
      const result: unknown = typeof listener === "function"
        ? listener.call(event.currentTarget ?? undefined, event)
        : listener.handleEvent(event);
      // Otherwise the rejection of an async listener would be unhandled, and would end the process.
      thenable(result)?.then(undefined, failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Reports an error that no caller awaits. */
  report(error: unknown): void {
    if (this.has("error")) this.#target.dispatch(new BrokerErrorEvent(error));
    else if (this.#target.unheard) this.#target.unheard(error);
    else reportUnheard(error);
  }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}

/** Gives an error without a listener to the platform: by default it ends the process. */
function reportUnheard(error: unknown): void {
  const { reportError } = globalThis as { reportError?: (error: unknown) => void };
  if (reportError !== undefined) {
    try {
      return reportError(reportable(error));
    } catch {
      // A getter threw only now, after `reportable` had read it.
      return reportError(unreadable());
    }
  }
  // Node has no reportError: thrown in a microtask, the error becomes an uncaught exception.
  queueMicrotask(() => {
    throw reportable(error);
  });
}
