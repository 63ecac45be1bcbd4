/**
 * Routing over the nodes of a Redis Cluster.
 *
 * It is our own for two reasons. Cluster clients send a command again after a lost reply, which could store a publish
 * twice or out of order. And a blocked read must end when its slot moves to another node, which no client reports.
 *
 * @module
 */
import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import type { OpenNode, TimedConnection } from "../_connection.ts";
import { isServerReply } from "../_reply_error.ts";
import { closedError, Link } from "../_link.ts";
import type { OwnRoute, Route, Topology } from "../_topology.ts";
import type { ClusterNodes } from "./_nodes.ts";
import { OwnSlotRoute } from "./_own_slot_route.ts";
import { readSlotMap } from "./_slot_map.ts";
import { SlotRoute } from "./_slot_route.ts";
import { slotOf, SLOTS } from "./_slots.ts";

// Replies that mark a node's slot map as possibly stale.
const STALE = /\b(CLUSTERDOWN|READONLY|UNBLOCKED force)\b/;

/**
 * The nodes of a Redis Cluster. All keys of a stream are in one slot, and its commands go to the node that serves the
 * slot. A node that does not serve it refuses the command and names the right node, where the command goes next.
 */
export class Cluster implements Topology, ClusterNodes {
  #open: OpenNode;
  #seeds: readonly Node[];
  /** The node of each slot. */
  #owners: (Node | undefined)[] = new Array(SLOTS);
  /** The connection to each node, by its address. */
  #links = new Map<string, Link>();
  #routes = new Map<number, Route>();
  #ownRoutes = new Set<OwnSlotRoute>();
  /** Addresses of nodes that did not reply or may have a stale slot map: they are asked last. */
  #suspects = new Set<string>();
  /** Links that are closing. */
  #ending = new Set<Promise<void>>();
  #refreshing: Promise<void> | undefined;
  #stale = true;
  #closed = false;

  private constructor(open: OpenNode, seeds: readonly Node[]) {
    this.#open = open;
    this.#seeds = seeds;
  }

  /**
   * Opens a cluster and reads its slot map.
   *
   * @param open Opens a connection to a node.
   * @param seeds Known nodes of the cluster.
   * @param first An open connection to one of them, taken over.
   * @throws The error of that node if it does not return its slot map.
   */
  static async open(
    open: OpenNode,
    seeds: readonly Node[],
    { node, connection }: { readonly node: Node; readonly connection: TimedConnection },
  ): Promise<Cluster> {
    const cluster = new Cluster(open, seeds);
    const address = nodeText(node);
    cluster.#links.set(address, new Link((options) => open(node, options), address, connection));
    try {
      await cluster.#read(node);
      return cluster;
    } catch (error) {
      await cluster.close();
      throw error;
    }
  }

  placeOf(stream: string): string {
    return stream;
  }

  route(stream: string): Route {
    const slot = slotOf(stream);
    let route = this.#routes.get(slot);
    if (route === undefined) this.#routes.set(slot, route = new SlotRoute(this, slot));
    return route;
  }

  ownRoute(stream: string): OwnRoute {
    const route = new OwnSlotRoute(this, slotOf(stream), () => this.#ownRoutes.delete(route));
    this.#ownRoutes.add(route);
    return route;
  }

  ownerOf(slot: number): Node | undefined {
    return this.#stale ? undefined : this.#owners[slot];
  }

  async find(slot: number): Promise<Node> {
    await (this.#refreshing ??= this.#refresh().finally(() => this.#refreshing = undefined));
    const owner = this.#owners[slot];
    if (owner !== undefined) return owner;
    throw new StoreError("transient", `Cannot use the cluster now: no node serves slot ${slot}; see CLUSTER INFO`);
  }

  /** Reads the slot map from the first node that replies. */
  async #refresh(): Promise<void> {
    const known = new Map([...new Set(this.#owners), ...this.#seeds].flatMap((n) => n ? [[nodeText(n), n]] : []));
    const isSuspect = (address: string) => Number(this.#suspects.has(address));
    const leastSuspectFirst = [...known].sort(([a], [b]) => isSuspect(a) - isSuspect(b));
    let failure: unknown;
    for (const [address, node] of leastSuspectFirst) {
      try {
        return await this.#read(node);
      } catch (error) {
        if (this.#closed) throw error;
        // Another node may reply.
        this.#suspects.add(address);
        failure = error;
      }
    }
    throw failure;
  }

  async #read(node: Node): Promise<void> {
    const { owners, present } = readSlotMap(await this.link(node).send(["CLUSTER", "SLOTS"]), node);
    this.#suspects.delete(nodeText(node));
    this.#owners = owners;
    this.#stale = false;
    for (const route of this.#ownRoutes) route.follow();
    // Disconnect only nodes that left the cluster. A demoted primary may still reply to commands in flight.
    for (const [address, link] of this.#links) {
      if (present.has(address)) continue;
      this.#links.delete(address);
      this.end(link);
    }
    for (const address of this.#suspects) if (!present.has(address)) this.#suspects.delete(address);
  }

  link(node: Node): Link {
    const address = nodeText(node);
    let link = this.#links.get(address);
    if (link === undefined) this.#links.set(address, link = this.newLink(node));
    return link;
  }

  newLink(node: Node): Link {
    if (this.#closed) throw closedError();
    return new Link((options) => this.#open(node, options), nodeText(node));
  }

  end(link: Link): void {
    const ending = link.close().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  reset(node: Node): void {
    this.#links.get(nodeText(node))?.reset();
  }

  moved(slot: number, node: Node): void {
    this.#owners[slot] = node;
    for (const route of this.#ownRoutes) route.follow();
  }

  noted(error: unknown, node: Node): unknown {
    if (error instanceof StoreError && (!isServerReply(error) || STALE.test(error.message))) {
      this.#stale = true;
      this.#suspects.add(nodeText(node));
    }
    return error;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const link of this.#links.values()) this.end(link);
    await Promise.all([...this.#ending, this.#refreshing?.catch(() => {})]);
  }
}
