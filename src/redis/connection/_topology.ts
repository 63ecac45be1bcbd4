import type { Reply } from "./client.ts";

/** A way to send commands to the server that has a stream, whichever server that is at the moment. */
export interface Route {
  /** @param timeout How long the reply may take, in milliseconds: longer than a blocking command blocks. */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  /** Ends the commands in flight; the connection is opened again when it is needed. */
  reset(): void;
  /** Ends the route for good. */
  close(): Promise<void>;
}

/** Sends commands by one connection, and so to one server; rejects once that connection is lost. */
export type Pinned = Pick<Route, "send">;

/** A route with a connection of its own. */
export interface OwnRoute extends Route {
  /** Pins the present connection, or a new one: commands sent by the result never go to another connection. */
  pin(): Promise<Pinned>;
}

/** The servers of a store, and the routes to their streams. */
export interface Topology {
  /** Names a server: streams with equal names are known to be on one server. */
  placeOf(stream: string): string;
  /** The shared route to a stream. Blocking commands must not use it. */
  route(stream: string): Route;
  /** A new route with a connection of its own, for blocking commands. */
  ownRoute(stream: string): OwnRoute;
  /** Ends all shared routes for good. */
  close(): Promise<void>;
}
