import type { Place } from "../_case.ts";
import type { Detail } from "../_detail.ts";

/** Publishes events with one system. */
export interface Publisher {
  /** Resolves once the event is stored. */
  send(detail: Detail): Promise<unknown>;
  /** Sends many events in the system's own way. */
  sendAll?(details: readonly Detail[]): Promise<unknown>;
  close(): Promise<void>;
}

/** Settings of a consumer. */
export interface ConsumeSettings {
  /** How many handlers may run at once. */
  readonly concurrency: number;
  /** The key of an event. Events with the same key are handled in order. */
  readonly key?: (detail: Detail) => string;
  /** How long after its last sign of life a consumer counts as dead, in ms, if the system has such a setting. */
  readonly lease?: number;
  handler(detail: Detail): void | Promise<void>;
}

/** Consumes from the beginning of the stream. */
export interface Consumer {
  /** Stops consuming. Resolves once the handled events are acknowledged. */
  close(): Promise<void>;
}

/** A system that stores and delivers events. */
export interface System {
  readonly name: string;
  /** The settings of the system, as a note below the table. */
  readonly note?: string;
  publisher(place: Place): Promise<Publisher>;
  /** Undefined if the system only stores. */
  consumer?(place: Place, settings: ConsumeSettings): Promise<Consumer>;
  /** How many events are not read or not acknowledged. */
  unsettled?(place: Place): Promise<number>;
  /** Stores events faster than its publisher does, with the same result. */
  fill?(place: Place, details: readonly Detail[]): Promise<void>;
}
