import type { Node } from "../_address.ts";
import type { Link } from "../_link.ts";

/** The nodes of a cluster, as the routes to its slots see them. */
export interface ClusterNodes {
  /** The known node of a slot; undefined when the nodes must be asked first. */
  ownerOf(slot: number): Node | undefined;
  /**
   * Asks the nodes for the present node of a slot.
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
  /** A node replied that another one serves the slot from now on. */
  moved(slot: number, node: Node): void;
  /** Notes an error and returns it. After one that may mean a changed layout, the nodes are asked before the next command. */
  noted(error: unknown, node: Node): unknown;
}
