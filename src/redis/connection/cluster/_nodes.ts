import type { Node } from "../_address.ts";
import type { Link } from "../_link.ts";

/** The nodes of a cluster, as the routes to its slots see them. */
export interface ClusterNodes {
  /** The node of a slot; undefined if it must be looked up with `find` first. */
  ownerOf(slot: number): Node | undefined;
  /**
   * Asks the nodes of the cluster which node serves a slot now.
   *
   * @throws {StoreError} `"transient"` if no node can be reached, or none serves the slot.
   */
  find(slot: number): Promise<Node>;
  /** The shared connection to a node. */
  link(node: Node): Link;
  /** A new connection to a node. */
  newLink(node: Node): Link;
  /** Ends a connection. */
  end(link: Link): void;
  /** Ends the commands in flight to a node. */
  reset(node: Node): void;
  /** Records that `node` serves the slot from now on, as a MOVED reply said. */
  moved(slot: number, node: Node): void;
  /**
   * Records an error and returns it. If the error may mean a changed layout, the slot map is read again before the next
   * command.
   */
  noted(error: unknown, node: Node): unknown;
}
