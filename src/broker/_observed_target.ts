import { reportUnheard } from "./_report.ts";
import { BrokerErrorEvent } from "./lifecycle_events.ts";

type AnyListener = EventListenerOrEventListenerObject;

/** An EventTarget that knows whether anybody listens, and that no listener can harm. */
export class ObservedTarget extends EventTarget {
  /** By type, then listener; the wrapped ones for the target phase and for capture, which count apart. */
  #listeners = new Map<string, Map<AnyListener, Map<boolean, EventListener>>>();

  override addEventListener(
    type: string,
    listener: AnyListener | null,
    options: boolean | AddEventListenerOptions = {},
  ): void {
    if (listener === null) return;
    const { capture = false, once = false, signal, passive } = typeof options === "boolean"
      ? { capture: options }
      : options;
    if (signal?.aborted) return;
    const ofType = getOrAdd(this.#listeners, type, () => new Map());
    const ofListener = getOrAdd(ofType, listener, () => new Map());
    if (ofListener.has(capture)) return;
    const wrapped = (event: Event) => {
      if (once) this.removeEventListener(type, listener, capture);
      this.#call(listener, event);
    };
    ofListener.set(capture, wrapped);
    super.addEventListener(type, wrapped, passive === undefined ? { capture } : { capture, passive });
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener, capture), { once: true });
    this.listenersChanged(type);
  }

  override removeEventListener(
    type: string,
    listener: AnyListener | null,
    options: boolean | EventListenerOptions = {},
  ): void {
    const capture = typeof options === "boolean" ? options : options.capture ?? false;
    const ofType = this.#listeners.get(type);
    const ofListener = listener === null ? undefined : ofType?.get(listener);
    const wrapped = ofListener?.get(capture);
    if (wrapped === undefined) return;
    super.removeEventListener(type, wrapped, { capture });
    ofListener!.delete(capture);
    if (ofListener!.size === 0) ofType!.delete(listener!);
    if (ofType!.size === 0) this.#listeners.delete(type);
    this.listenersChanged(type);
  }

  /** Whether anybody listens to this type. */
  protected hasListeners(type: string): boolean {
    return this.#listeners.has(type);
  }

  /** Called when a listener of this type came or went. */
  protected listenersChanged(_type: string): void {}

  #call(listener: AnyListener, event: Event): void {
    const failed = (error: unknown) => event.type === "error" ? reportUnheard(error) : this.report(error);
    try {
      const result: unknown = typeof listener === "function" ? listener.call(this, event) : listener.handleEvent(event);
      // An async listener is a promise that nobody awaits: its rejection would end the process.
      if (result instanceof Promise) result.catch(failed);
    } catch (error) {
      failed(error);
    }
  }

  /** Tells of an error that no caller waits for. */
  report(error: unknown): void {
    if (this.hasListeners("error")) this.dispatchEvent(new BrokerErrorEvent(error));
    else reportUnheard(error);
  }
}

function getOrAdd<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  let value = map.get(key);
  if (value === undefined) map.set(key, value = make());
  return value;
}
