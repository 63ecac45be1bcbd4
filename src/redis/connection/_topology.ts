import type { TimedConnection } from "./_connection.ts";
import type { Reply } from "./client.ts";
import { Link } from "./_link.ts";

/** A way to a server, whichever that is at the time. */
export interface Route {
  /** @param timeout How long the answer may take, in milliseconds: longer than a blocking command blocks. */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  /** Ends what is under way; it is opened anew when it is needed again. */
  reset(): void;
  /** Ends it for good. */
  close(): Promise<void>;
}

/** What is sent by it goes by one connection, and so to one server, or rejects. */
export type Pinned = Pick<Route, "send">;

/** A way that nobody else takes. */
export interface OwnRoute extends Route {
  /** The connection that there is now, or a new one: never another, also after it was lost. */
  pin(): Promise<Pinned>;
}

/** Where streams are, and the ways there. */
export interface Topology {
  /** The streams that one server has, as far as anybody can know beforehand, give the same name. */
  placeOf(stream: string): string;
  /** The way that all take who want something of this stream, and that nothing blocks. */
  route(stream: string): Route;
  /** A way of one's own, for what blocks it. */
  ownRoute(stream: string): OwnRoute;
  /** Ends all shared ways for good. */
  close(): Promise<void>;
}

/** One server. */
export class SingleServer implements Topology {
  #first: TimedConnection;
  #where: string;
  #link: Link;

  /**
   * @param first The first connection, taken over.
   * @param where What it connects to, for people; credentials do not belong in it.
   */
  constructor(first: TimedConnection, where: string) {
    this.#first = first;
    this.#where = where;
    this.#link = new Link((options) => first.open(options), where, first);
  }

  placeOf(): string {
    return "";
  }

  route(): Route {
    return this.#link;
  }

  ownRoute(): OwnRoute {
    return new Link((options) => this.#first.open(options), this.#where);
  }

  async close(): Promise<void> {
    this.#first.close();
    await this.#link.close();
  }
}
