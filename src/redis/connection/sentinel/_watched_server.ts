import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import type { TimedConnection } from "../_connection.ts";
import { Link, type Open } from "../_link.ts";
import { type Master, openMaster, type Watch } from "./_sentinel.ts";
import type { OwnRoute, Route, Topology } from "../_topology.ts";

/**
 * The master that Sentinels watch. Whoever finds that it is another one now takes all others along: a read that blocks on
 * one that stands still would notice seconds later.
 */
export class WatchedServer implements Topology {
  #watch: Watch;
  #where: string;
  #master: Node;
  #changes = 0;
  #links = new Set<Link>();
  #link: Link;

  /**
   * @param watch How to find it.
   * @param where What it is, for people; credentials do not belong in it.
   * @param first A connection to it, taken over.
   */
  constructor(watch: Watch, where: string, first: Master) {
    this.#watch = watch;
    this.#where = where;
    this.#master = first.node;
    this.#link = this.#newLink(first.connection);
  }

  #newLink(first?: TimedConnection): Link {
    const link: Link = new Link((options) => this.#open(link, options), this.#where, first);
    this.#links.add(link);
    return link;
  }

  async #open(by: Link, options: Parameters<Open>[0]): Promise<TimedConnection> {
    const changes = this.#changes;
    const { connection, node } = await openMaster(this.#watch, options);
    if (nodeText(node) === nodeText(this.#master)) return connection;
    if (this.#changes !== changes) {
      // It asked before others did, who have found another one.
      connection.close();
      throw new StoreError("transient", `Cannot reach the master "${this.#watch.name}" now: it changes`);
    }
    this.#master = node;
    this.#changes++;
    for (const link of this.#links) if (link !== by && link.connected) link.reset();
    return connection;
  }

  placeOf(): string {
    return "";
  }

  route(): Route {
    return this.#link;
  }

  ownRoute(): OwnRoute {
    const link = this.#newLink();
    return {
      send: (command, timeout) => link.send(command, timeout),
      pin: () => link.pin(),
      reset: () => link.reset(),
      close: async () => {
        this.#links.delete(link);
        await link.close();
      },
    };
  }

  async close(): Promise<void> {
    await this.#link.close();
  }
}
