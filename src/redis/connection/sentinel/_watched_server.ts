import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import type { TimedConnection } from "../_connection.ts";
import { Link, type Open } from "../_link.ts";
import { type Master, openMaster, type Watch } from "./_sentinel.ts";
import type { OwnRoute, Route, Topology } from "../_topology.ts";

/**
 * The master that Sentinels watch. The first link that finds a new master resets all other links, because a blocked read
 * on an old master that hangs would notice the failover only seconds later.
 */
export class WatchedServer implements Topology {
  #watch: Watch;
  #address: string;
  #master: Node;
  #changes = 0;
  #links = new Set<Link>();
  #link: Link;

  /**
   * @param watch How to find the master.
   * @param address The Sentinels' address for error messages, without credentials.
   * @param first An open connection to the master, taken over.
   */
  constructor(watch: Watch, address: string, first: Master) {
    this.#watch = watch;
    this.#address = address;
    this.#master = first.node;
    this.#link = this.#newLink(first.connection);
  }

  #newLink(first?: TimedConnection): Link {
    const link: Link = new Link((options) => this.#open(link, options), this.#address, first);
    this.#links.add(link);
    return link;
  }

  async #open(by: Link, options: Parameters<Open>[0]): Promise<TimedConnection> {
    const changes = this.#changes;
    const { connection, node } = await openMaster(this.#watch, options);
    if (nodeText(node) === nodeText(this.#master)) return connection;
    if (this.#changes !== changes) {
      // Another link found a new master in the meantime, and this answer may be older.
      connection.close();
      throw new StoreError("transient", `Cannot reach the master "${this.#watch.name}" now: a failover is in progress`);
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
