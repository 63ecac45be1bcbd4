import type { TimedConnection } from "./_connection.ts";
import type { Reply } from "./client.ts";
import { Link, type Open } from "./_link.ts";

/** A way to a server, whichever that is at the time. */
export interface Route {
  /** @param timeout How long the answer may take, in milliseconds: longer than a blocking command blocks. */
  send(command: readonly string[], timeout?: number): Promise<Reply>;
  /** Ends what is under way; it is opened anew when it is needed again. */
  reset(): void;
  /** Ends it for good. */
  close(): Promise<void>;
}

/** Where streams are, and the ways there. */
export interface Topology {
  /** The streams that one server has, as far as anybody can know beforehand, give the same name. */
  placeOf(stream: string): string;
  /** The way that all take who want something of this stream, and that nothing blocks. */
  route(stream: string): Route;
  /** A way of one's own, for what blocks it. */
  ownRoute(stream: string): Route;
  /** Ends all shared ways for good. */
  close(): Promise<void>;
}

/** One server, or one that moves and that its opener finds. */
export class SingleServer implements Topology {
  #first: TimedConnection;
  #where: string;
  #open: Open;
  #link: Link;

  /**
   * @param first The first connection, taken over.
   * @param where What it connects to, for people; credentials do not belong in it.
   * @param open Opens further connections. By default they go to where the first one does.
   */
  constructor(first: TimedConnection, where: string, open: Open = (options) => first.open(options)) {
    this.#first = first;
    this.#where = where;
    this.#open = open;
    this.#link = new Link(open, where, first);
  }

  placeOf(): string {
    return "";
  }

  route(): Route {
    return this.#link;
  }

  ownRoute(): Route {
    return new Link(this.#open, this.#where);
  }

  async close(): Promise<void> {
    this.#first.close();
    await this.#link.close();
  }
}
