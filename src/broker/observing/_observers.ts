import { show } from "../../events/_check.ts";
import { thenable } from "../../events/_foreign.ts";
import { recordIn } from "../../events/_state.ts";
import type { DomainEvent } from "../../events/mod.ts";
import { noteCause } from "../_causation.ts";
import type { Delivery } from "../delivery.ts";
import type { AttemptEnd, BrokerObserver, HandlerObservation, LifecycleSource, Operation } from "./observer.ts";
import type { SettlingBatch, SettlingObservation } from "./observer.ts";

type End<O extends { ended(end: never): void }> = Parameters<O["ended"]>[0];

/** An attempt that observers follow. */
export interface ObservedAttempt {
  readonly delivery: Delivery;
  run<R>(handler: () => R): R;
  ended(end: AttemptEnd): void;
}

/** The observers of one broker. An error of an observer is reported, and does not change the observed work. */
export class Observers {
  #all: readonly BrokerObserver[] = [];
  /** Whether an observer is active at all times. */
  #always = false;
  #report: (error: unknown) => void;
  #reporting = false;

  constructor(report: (error: unknown) => void) {
    this.#report = (error) => {
      this.#reporting = true;
      try {
        report(error);
      } finally {
        this.#reporting = false;
      }
    };
  }

  /** Adds an observer until the result is disposed. */
  add(observer: BrokerObserver): Disposable {
    // A new object, since the same observer may be added twice.
    const added = bound(observer);
    this.#set([...this.#all, added]);
    return { [Symbol.dispose]: () => this.#set(this.#all.filter((other) => other !== added)) };
  }

  #set(all: readonly BrokerObserver[]): void {
    this.#all = all;
    this.#always = all.some(({ active }) => active === undefined);
  }

  /** Whether an observer is active: otherwise none of the methods below needs to be called. */
  get active(): boolean {
    // While an error of an observer is reported, it is not asked again.
    if (this.#always || this.#reporting) return true;
    for (const observer of this.#all) if (this.#isActive(observer)) return true;
    return false;
  }

  #isActive(observer: BrokerObserver): boolean {
    try {
      return observer.active!();
    } catch (error) {
      this.#report(error);
      return true;
    }
  }

  /** Publishes with the traceparents that observers give to these events. */
  publish<T>(events: readonly DomainEvent[], publish: () => Promise<T>): Promise<T> {
    // Observers see the cause of an event, which the publisher would note later.
    noteCause(events);
    const observations = this.#begin("publishing", (observer) => observer.publishing?.(events));
    if (observations.length === 0) return publish();
    for (const observation of observations) {
      this.#guard(() => giveTraceparents(events, observation.traceparents ?? []));
    }
    return this.#until(observations, publish, () => ({}));
  }

  handling(delivery: Delivery, kind: "handler" | "pulled" | "batch"): ObservedAttempt {
    const observations = this.#begin("handling", (observer) => observer.handling?.(delivery, kind));
    return {
      delivery,
      run: (handler) => observations.reduceRight((inner, observation) => this.#inside(observation, inner), handler)(),
      // Only the first end counts: a handler may still run when its delivery is released.
      ended: (end) => this.#end(observations.splice(0), end),
    };
  }

  settling(batch: SettlingBatch): (end: End<SettlingObservation>) => void {
    const observations = this.#begin("settling", (observer) => observer.settling?.(batch));
    return (end) => this.#end(observations, end);
  }

  /** @param countOf How many events or dead letters the operation concerned, by its result. */
  async operate<T>(operation: Operation, act: () => Promise<T>, countOf?: (result: T) => number): Promise<T> {
    const observations = this.#begin("operating", (observer) => observer.operating?.(operation));
    return await this.#until(observations, act, (result) => ({ count: countOf?.(result) }));
  }

  /** Tells the observations how `act` ended. */
  async #until<T, E extends object>(
    observations: readonly { ended(end: E & { error?: unknown }): void }[],
    act: () => Promise<T>,
    endOf: (result: T) => E,
  ): Promise<T> {
    try {
      const result = await act();
      this.#end(observations, endOf(result));
      return result;
    } catch (error) {
      this.#end(observations, { error } as E & { error: unknown });
      throw error;
    }
  }

  lifecycle(event: Event, source: LifecycleSource): void {
    // An observer that throws on `error` events would receive its own errors without end.
    if (this.#reporting) return;
    for (const observer of this.#all) this.#guard(() => observer.lifecycle?.(event, source));
  }

  #begin<O extends { ended(end: never): void }>(
    method: typeof METHODS[number],
    begin: (observer: BrokerObserver) => O | undefined,
  ): O[] {
    const observations: O[] = [];
    for (const observer of this.#all) {
      const observation = this.#guard(() => begin(observer));
      if (observation === undefined || observation === null) continue;
      this.#guard(() => {
        if (typeof observation.ended === "function") observations.push(observation);
        else {
          throw new TypeError(
            `Cannot observe ${method} with ${show(observation)}: return an object with ended(), or undefined`,
          );
        }
      });
    }
    return observations;
  }

  #end<E>(observations: readonly { ended(end: E): void }[], end: E): void {
    for (const observation of observations) this.#guard(() => observation.ended(end));
  }

  /** The handler, called by `observation.run`: exactly once, with its own result or error, whatever `run` does. */
  #inside<R>(observation: HandlerObservation, handler: () => R): () => R {
    const run = this.#guard(() => observation.run);
    if (run === undefined) return handler;
    return () => {
      const call = new HandlerCall(handler);
      try {
        const result: unknown = run.call(observation, call.run);
        if (result !== call.value) thenable(result)?.then(undefined, (error) => this.#reportForeign(error, call));
      } catch (error) {
        if (!call.failedWith(error)) this.#report(error);
      }
      return call.result();
    };
  }

  /** Reports an error of a promise that `run` made, unless it is that of the handler. */
  async #reportForeign(error: unknown, call: HandlerCall<unknown>): Promise<void> {
    try {
      await call.result();
    } catch (own) {
      if (own === error) return;
    }
    this.#report(error);
  }

  /** Reports an error that `call` throws, or that its promise rejects with, as when a method of an observer is async. */
  #guard<T>(call: () => T): T | undefined {
    try {
      const result = call();
      thenable(result)?.then(undefined, this.#report);
      return result;
    } catch (error) {
      this.#report(error);
      return undefined;
    }
  }
}

/** One call of a handler by an observer, which may call it never, again, or later. */
class HandlerCall<R> {
  #handler: () => R;
  #end: { readonly value: R } | { readonly error: unknown } | undefined;
  #over = false;

  constructor(handler: () => R) {
    this.#handler = handler;
  }

  /** What the handler returned; undefined if it has not. */
  get value(): R | undefined {
    return this.#end !== undefined && "value" in this.#end ? this.#end.value : undefined;
  }

  /** Whether the handler threw this error. */
  failedWith(error: unknown): boolean {
    return this.#end !== undefined && "error" in this.#end && this.#end.error === error;
  }

  /** For the observer. */
  readonly run = (): R => {
    // In a timer of the observer, for example, the handler's error would be uncaught.
    return this.#over && this.#end !== undefined && "error" in this.#end ? undefined as R : this.#call();
  };

  /** For the caller: what the handler returns or throws. */
  result(): R {
    this.#over = true;
    return this.#call();
  }

  #call(): R {
    if (this.#end === undefined) {
      try {
        this.#end = { value: this.#handler() };
      } catch (error) {
        this.#end = { error };
      }
    }
    if ("error" in this.#end) throw this.#end.error;
    return this.#end.value;
  }
}

// Version, trace id, parent id and flags: https://www.w3.org/TR/trace-context/#traceparent-header
const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

function giveTraceparents(events: readonly DomainEvent[], traceparents: readonly (string | undefined)[]): void {
  for (const [nth, event] of events.entries()) {
    const traceparent = traceparents[nth];
    if (traceparent === undefined) continue;
    if (typeof traceparent !== "string" || !TRACEPARENT.test(traceparent)) {
      throw new TypeError(
        `Cannot trace ${event.type} by ${show(traceparent)}: an observer must give a W3C traceparent`,
      );
    }
    recordIn(event).traceparent ??= traceparent;
  }
}

const METHODS = ["active", "publishing", "handling", "settling", "operating", "lifecycle"] as const;

/** The methods of an observer, read once and bound to it. */
function bound(observer: BrokerObserver): BrokerObserver {
  if (typeof observer !== "object" || observer === null) {
    throw new TypeError(`Cannot observe with ${show(observer)}: give an object with methods of BrokerObserver`);
  }
  const methods: Record<string, unknown> = {};
  for (const name of METHODS) {
    const method: unknown = observer[name];
    if (method === undefined) continue;
    if (typeof method !== "function") {
      throw new TypeError(`Cannot observe with ${name} ${show(method)}: it must be a function`);
    }
    methods[name] = method.bind(observer);
  }
  return methods as BrokerObserver;
}
