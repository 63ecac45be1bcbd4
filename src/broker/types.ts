import type { EventClass } from "../events/mod.ts";

/** The type of a class's events. */
export type EventOf<C extends EventClass> = InstanceType<C>;

/** One value or a list of values. */
export type OneOrMore<C> = C | readonly C[];

/** A listener: a function, or an object with the method `handleEvent`. */
export type EventListenerOf<E, This = unknown> =
  | ((this: This, event: E & Event) => void)
  | { handleEvent(event: E & Event): void }
  | null;
