import type { Reply } from "./client.ts";

/** Sends commands to the server that has a stream at the moment. */
export interface Route {
  /** @param timeout How long the reply may take, in milliseconds; for a blocking command, longer than it blocks. */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  /** Ends the commands in flight; the connection is opened again when it is needed. */
  reset(): void;
  /** Closes the route for good. */
  close(): Promise<void>;
}

/** Sends all commands by one connection, and so to one server. Rejects once that connection is lost. */
export type Pinned = Pick<Route, "send">;

/** A route with a connection of its own. */
export interface OwnRoute extends Route {
  /** Pins the open connection, or opens one: commands sent by the result never go to another connection. */
  pin(): Promise<Pinned>;
}

/** The servers of a store, and the routes to their streams. */
export interface Topology {
  /** A name for the server of a stream. Streams with equal names are known to be on one server. */
  placeOf(stream: string): string;
  /** The shared route to a stream. Blocking commands must not use it. */
  route(stream: string): Route;
  /** A new route with a connection of its own, for blocking commands. */
  ownRoute(stream: string): OwnRoute;
  /** Closes all shared routes for good. */
  close(): Promise<void>;
}
