import type { TimedConnection } from "./_connection.ts";
import { Link } from "./_link.ts";
import type { OwnRoute, Route, Topology } from "./_topology.ts";

/** A single server, without a cluster or Sentinels. */
export class SingleServer implements Topology {
  #first: TimedConnection;
  #address: string;
  #link: Link;

  /**
   * @param first The first connection, taken over.
   * @param address The server's address for error messages, without credentials.
   */
  constructor(first: TimedConnection, address: string) {
    this.#first = first;
    this.#address = address;
    this.#link = new Link((options) => first.open(options), address, first);
  }

  placeOf(): string {
    return "";
  }

  route(): Route {
    return this.#link;
  }

  ownRoute(): OwnRoute {
    return new Link((options) => this.#first.open(options), this.#address);
  }

  async close(): Promise<void> {
    this.#first.close();
    await this.#link.close();
  }
}
