import { StoreError } from "../store/mod.ts";
import { type Node, nodeText } from "./_address.ts";
import type { TimedConnection } from "./_connection.ts";
import { isServerReply, redirectionOf } from "./_errors.ts";
import { Link } from "./_link.ts";
import type { Reply } from "./client.ts";
import { slotOf, SLOTS } from "./_slots.ts";
import type { OwnRoute, Pinned, Route, Topology } from "./_topology.ts";

// How often a command is sent on to where a node says that its keys are: a chain of more leads in a circle.
const MOST_REDIRECTIONS = 5;

/** Opens a connection to a node of the cluster. */
export type OpenNode = (node: Node, options: { readonly signal?: AbortSignal | undefined }) => Promise<TimedConnection>;

/**
 * The nodes of a Redis Cluster. All keys of a stream are in one slot, and a command goes to the node that serves it; when
 * that node says otherwise, nothing was done, and the command goes where it says.
 */
export class Cluster implements Topology {
  #open: OpenNode;
  #seeds: readonly Node[];
  /** The node of each slot. */
  #owners: (Node | undefined)[] = new Array(SLOTS);
  /** The connection to each node, by its address. */
  #links = new Map<string, Link>();
  #routes = new Map<number, Route>();
  #looking: Promise<void> | undefined;
  #stale = true;

  /**
   * @param open Opens a connection to a node.
   * @param seeds Nodes that know the others.
   */
  constructor(open: OpenNode, seeds: readonly Node[]) {
    this.#open = open;
    this.#seeds = seeds;
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
    return new OwnSlotRoute(this, slotOf(stream));
  }

  /** The node that serves a slot, as far as is known; undefined when the nodes have to be asked first. */
  ownerOf(slot: number): Node | undefined {
    return this.#stale ? undefined : this.#owners[slot];
  }

  /**
   * The node that serves a slot, as the nodes say now.
   *
   * @throws {StoreError} `"transient"` if none of them can be reached, or none serves the slot.
   */
  async find(slot: number): Promise<Node> {
    await (this.#looking ??= this.#look().finally(() => this.#looking = undefined));
    const owner = this.#owners[slot];
    if (owner !== undefined) return owner;
    throw new StoreError("transient", `Cannot use the cluster now: no node of it serves slot ${slot}`);
  }

  async #look(): Promise<void> {
    const known = new Map([...this.#owners, ...this.#seeds].flatMap((node) => node ? [[nodeText(node), node]] : []));
    let failure: unknown;
    for (const node of known.values()) {
      try {
        const reply = await this.link(node).send(["CLUSTER", "SLOTS"]);
        this.#owners = ownersIn(reply, node);
        this.#stale = false;
        return void this.#forgetOthers();
      } catch (error) {
        // Another may be there; what only this one says is not true of the cluster.
        failure = error;
      }
    }
    throw failure;
  }

  /** The connection that all share to a node. */
  link(node: Node): Link {
    const address = nodeText(node);
    let link = this.#links.get(address);
    if (link === undefined) this.#links.set(address, link = this.newLink(node));
    return link;
  }

  /** One more connection to a node. */
  newLink(node: Node): Link {
    return new Link((options) => this.#open(node, options), nodeText(node));
  }

  // Nodes that serve nothing any more may never come back.
  #forgetOthers(): void {
    const current = new Set(this.#owners.flatMap((node) => node ? [nodeText(node)] : []));
    for (const [address, link] of this.#links) {
      if (current.has(address)) continue;
      this.#links.delete(address);
      void link.close();
    }
  }

  /** A node says that another one serves the slot from now on. */
  moved(slot: number, node: Node): void {
    this.#owners[slot] = node;
  }

  /** A node cannot be reached, or does not know: the others have to be asked before anything is sent. */
  doubt(): void {
    this.#stale = true;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#links.values()].map((link) => link.close()));
  }
}

/** The way to whichever node serves a slot, shared by all. */
class SlotRoute implements Route {
  #cluster: Cluster;
  #slot: number;

  constructor(cluster: Cluster, slot: number) {
    this.#cluster = cluster;
    this.#slot = slot;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    const cluster = this.#cluster;
    for (let redirections = 0;; redirections++) {
      // Without waiting where the node is known: commands go out in the order of the calls.
      const node = cluster.ownerOf(this.#slot) ?? await cluster.find(this.#slot);
      try {
        return await cluster.link(node).send(command, timeout);
      } catch (error) {
        const to = redirectionOf(error, node);
        if (to === undefined || redirections === MOST_REDIRECTIONS) throw noted(error, cluster);
        if (!to.once) cluster.moved(this.#slot, to.node);
        else {
          const link = cluster.link(to.node);
          // Sent in one go: it is true of the very next command alone.
          const [, reply] = await Promise.all([link.send(["ASKING"]), link.send(command, timeout)]);
          return reply;
        }
      }
    }
  }

  reset(): void {
    const node = this.#cluster.ownerOf(this.#slot);
    if (node !== undefined) this.#cluster.link(node).reset();
  }

  async close(): Promise<void> {}
}

/** The way to whichever node serves a slot, by a connection of its own, which ends when that is another one. */
class OwnSlotRoute implements OwnRoute {
  #cluster: Cluster;
  #slot: number;
  #node: Node | undefined;
  #link: Link | undefined;

  constructor(cluster: Cluster, slot: number) {
    this.#cluster = cluster;
    this.#slot = slot;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    const { node, link } = await this.#here();
    return await this.#sendBy(link, node, command, timeout);
  }

  async pin(): Promise<Pinned> {
    const { node, link } = await this.#here();
    const pinned = await link.pin().catch((error) => {
      throw noted(error, this.#cluster);
    });
    return { send: (command, timeout) => this.#sendBy(pinned, node, command, timeout) };
  }

  async #here(): Promise<{ readonly node: Node; readonly link: Link }> {
    const cluster = this.#cluster;
    const node = cluster.ownerOf(this.#slot) ?? await cluster.find(this.#slot);
    if (this.#node === undefined || nodeText(this.#node) !== nodeText(node)) {
      void this.#link?.close();
      [this.#node, this.#link] = [node, cluster.newLink(node)];
    }
    return { node, link: this.#link! };
  }

  async #sendBy(link: Pinned, node: Node, command: readonly string[], timeout?: number): Promise<Reply> {
    try {
      return await link.send(command, timeout);
    } catch (error) {
      // Not sent on: whoever reads here knows the connection by its number, and has to begin again with another.
      const to = redirectionOf(error, node);
      if (to !== undefined && !to.once) this.#cluster.moved(this.#slot, to.node);
      throw noted(error, this.#cluster);
    }
  }

  reset(): void {
    this.#link?.reset();
  }

  async close(): Promise<void> {
    await this.#link?.close();
  }
}

/** After anything that may mean that another node serves the slot now, the nodes are asked. */
function noted(error: unknown, cluster: Cluster): unknown {
  if (
    error instanceof StoreError && (!isServerReply(error) || /\b(CLUSTERDOWN|READONLY|UNBLOCKED)\b/.test(error.message))
  ) {
    cluster.doubt();
  }
  return error;
}

/** Reads CLUSTER SLOTS. A node that does not know its own host is where it was asked. */
function ownersIn(reply: Reply, asked: Node): (Node | undefined)[] {
  const owners: (Node | undefined)[] = new Array(SLOTS);
  for (const [first, last, [host, port]] of reply as readonly [number, number, readonly [string | null, number]][]) {
    owners.fill({ host: host || asked.host, port }, first, last + 1);
  }
  return owners;
}
