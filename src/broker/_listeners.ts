import { reportUnheard } from "./_report.ts";
import { BrokerErrorEvent } from "./lifecycle_events.ts";

type AnyListener = EventListenerOrEventListenerObject;

/** What the listeners need of the target that they belong to: the way to its own, unguarded methods. */
export interface ListenerTarget {
  attach(type: string, listener: EventListener, options: AddEventListenerOptions): void;
  detach(type: string, listener: EventListener, options: EventListenerOptions): void;
  dispatch(event: Event): void;
  /** A listener of this type came or went. */
  changed?(type: string): void;
  /** Takes an error that nobody here listens to. */
  unheard?(error: unknown): void;
}

/** The listeners of an EventTarget that knows whether anybody listens, and that no listener can harm. */
export class Listeners {
  #target: ListenerTarget;
  /** By type, then listener; the wrapped ones for the target phase and for capture, which count apart. */
  #byType = new Map<string, Map<AnyListener, Map<boolean, EventListener>>>();

  constructor(target: ListenerTarget) {
    this.#target = target;
  }

  /** Whether anybody listens to this type. */
  has(type: string): boolean {
    return this.#byType.has(type);
  }

  add(type: string, listener: AnyListener | null, options: boolean | AddEventListenerOptions = {}): void {
    if (listener === null) return;
    const given = typeof options === "boolean" ? { capture: options } : options;
    const { capture = false, once = false, signal, passive } = given;
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
      // An async listener is a promise that nobody awaits: its rejection would end the process.
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Tells of an error that no caller waits for. */
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
