import type { Place } from "../_case.ts";
import type { Detail } from "../_detail.ts";

/** Publishes by one way of doing so. */
export interface Publisher {
  /** Resolves once it is stored. */
  send(detail: Detail): Promise<unknown>;
  /** Sends them in the system's own way of sending many at once. */
  sendAll?(details: readonly Detail[]): Promise<unknown>;
  close(): Promise<void>;
}

/** How to consume. */
export interface ConsumeSettings {
  /** How many handlers may run at once. */
  readonly concurrency: number;
  /** Gives each event a key, by which they are handled in order. */
  readonly key?: (detail: Detail) => string;
  /** How long after its last sign of life a consumer counts as dead, in ms, where the system lets one choose. */
  readonly lease?: number;
  handler(detail: Detail): void | Promise<void>;
}

/** Consumes from the beginning. */
export interface Consumer {
  /** Ends it; what was handled has been acknowledged then. */
  close(): Promise<void>;
}

/** Something that carries events. */
export interface System {
  readonly name: string;
  /** Its settings. */
  readonly note?: string;
  publisher(place: Place): Promise<Publisher>;
  /** Where there is none it only stores. */
  consumer?(place: Place, settings: ConsumeSettings): Promise<Consumer>;
  /** How many events are not read or not acknowledged. */
  unsettled?(place: Place): Promise<number>;
  /** Stores so many events in a faster way than by its publisher, with the same result. */
  fill?(place: Place, details: readonly Detail[]): Promise<void>;
}
