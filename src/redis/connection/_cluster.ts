import { StoreError } from "../../store/mod.ts";
import { type Node, nodeText } from "./_address.ts";
import type { TimedConnection } from "./_connection.ts";
import { hostOr, isServerReply, redirectionOf } from "./_errors.ts";
import { closed, Link } from "./_link.ts";
import type { Reply } from "./client.ts";
import { slotOf, SLOTS } from "./_slots.ts";
import type { OwnRoute, Pinned, Route, Topology } from "./_topology.ts";

// How often a command is sent on to where a node says that its keys are: a chain of more leads in a circle.
const MOST_REDIRECTIONS = 5;

// What a node answers whose word on who serves what is worth less than that of others.
const OUTDATED = /\b(CLUSTERDOWN|READONLY|UNBLOCKED force)\b/;

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
  #ownRoutes = new Set<OwnSlotRoute>();
  /** Who did not answer, or is cut off from the others, by address: asked last. */
  #suspects = new Set<string>();
  /** Connections that are ending. */
  #ending = new Set<Promise<void>>();
  #looking: Promise<void> | undefined;
  #stale = true;
  #closed = false;

  private constructor(open: OpenNode, seeds: readonly Node[]) {
    this.#open = open;
    this.#seeds = seeds;
  }

  /**
   * Asks who serves what.
   *
   * @param open Opens a connection to a node.
   * @param seeds Nodes that know the others.
   * @param first A connection to one of them, taken over.
   * @throws What that one answers if it does not say.
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
    const known = new Map([...new Set(this.#owners), ...this.#seeds].flatMap((n) => n ? [[nodeText(n), n]] : []));
    const isSuspect = (address: string) => Number(this.#suspects.has(address));
    const inTurn = [...known].sort(([a], [b]) => isSuspect(a) - isSuspect(b));
    let failure: unknown;
    for (const [address, node] of inTurn) {
      try {
        return await this.#read(node);
      } catch (error) {
        if (this.#closed) throw error;
        // Another may be there; what only this one says is not true of the cluster.
        this.#suspects.add(address);
        failure = error;
      }
    }
    throw failure;
  }

  async #read(node: Node): Promise<void> {
    const { owners, present } = layoutIn(await this.link(node).send(["CLUSTER", "SLOTS"]), node);
    this.#suspects.delete(nodeText(node));
    this.#owners = owners;
    this.#stale = false;
    for (const route of this.#ownRoutes) route.follow();
    // A primary that handed over may still answer what is under way; who is not there any more may never come back.
    for (const [address, link] of this.#links) {
      if (present.has(address)) continue;
      this.#links.delete(address);
      this.end(link);
    }
    for (const address of this.#suspects) if (!present.has(address)) this.#suspects.delete(address);
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
    if (this.#closed) throw closed();
    return new Link((options) => this.#open(node, options), nodeText(node));
  }

  /** Ends a connection; closing waits until nothing is left of it. */
  end(link: Link): void {
    const ending = link.close().finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Ends what is under way to a node. */
  reset(node: Node): void {
    this.#links.get(nodeText(node))?.reset();
  }

  /** A node says that another one serves the slot from now on. */
  moved(slot: number, node: Node): void {
    this.#owners[slot] = node;
    for (const route of this.#ownRoutes) route.follow();
  }

  /** After anything that may mean that another node serves the slot now, the others are asked before anything is sent. */
  noted(error: unknown, node: Node): unknown {
    if (error instanceof StoreError && (!isServerReply(error) || OUTDATED.test(error.message))) {
      this.#stale = true;
      this.#suspects.add(nodeText(node));
    }
    return error;
  }

  async close(): Promise<void> {
    this.#closed = true;
    for (const link of this.#links.values()) this.end(link);
    await Promise.all([...this.#ending, this.#looking?.catch(() => {})]);
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
    let once: Node | undefined;
    for (let redirections = 0;; redirections++) {
      // Without waiting where the node is known: commands go out in the order of the calls.
      const node = once ?? cluster.ownerOf(this.#slot) ?? await cluster.find(this.#slot);
      try {
        const link = cluster.link(node);
        if (once === undefined) return await link.send(command, timeout);
        // Sent in one go: it is true of the very next command alone.
        const [, reply] = await Promise.all([link.send(["ASKING"]), link.send(command, timeout)]);
        return reply;
      } catch (error) {
        const to = redirectionOf(error, node);
        if (to === undefined || redirections === MOST_REDIRECTIONS) throw cluster.noted(error, node);
        once = to.once ? to.node : undefined;
        if (!to.once) cluster.moved(this.#slot, to.node);
      }
    }
  }

  reset(): void {
    const node = this.#cluster.ownerOf(this.#slot);
    if (node !== undefined) this.#cluster.reset(node);
  }

  async close(): Promise<void> {}
}

/** The way to whichever node serves a slot, by a connection of its own, which ends when that is another one. */
class OwnSlotRoute implements OwnRoute {
  #cluster: Cluster;
  #slot: number;
  #ended: () => void;
  #node: Node | undefined;
  #link: Link | undefined;
  /** The connection was ended, and whoever uses it does not know yet. */
  #untold = false;
  #closed = false;

  constructor(cluster: Cluster, slot: number, ended: () => void) {
    this.#cluster = cluster;
    this.#slot = slot;
    this.#ended = ended;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    const { node, link } = await this.#here();
    return await this.#sendBy(link, node, command, timeout);
  }

  async pin(): Promise<Pinned> {
    const { node, link } = await this.#here();
    const pinned = await link.pin().catch((error) => {
      throw this.#told(this.#cluster.noted(error, node));
    });
    return { send: (command, timeout) => this.#sendBy(pinned, node, command, timeout) };
  }

  async #here(): Promise<{ readonly node: Node; readonly link: Link }> {
    const node = this.#cluster.ownerOf(this.#slot) ?? await this.#cluster.find(this.#slot);
    if (this.#closed) throw closed();
    this.follow();
    // Whoever reads here knows the connection by its number, and has to begin again with another.
    if (this.#untold) {
      throw this.#told(new StoreError("transient", "Cannot use Redis now: another node serves the slot"));
    }
    this.#node ??= node;
    this.#link ??= this.#cluster.newLink(this.#node);
    return { node: this.#node, link: this.#link };
  }

  async #sendBy(link: Pinned, node: Node, command: readonly string[], timeout?: number): Promise<Reply> {
    try {
      return await link.send(command, timeout);
    } catch (error) {
      // Not sent on, for the same reason.
      const to = redirectionOf(error, node);
      if (to !== undefined && !to.once) this.#cluster.moved(this.#slot, to.node);
      throw this.#told(this.#cluster.noted(error, node));
    }
  }

  #told(error: unknown): unknown {
    this.#untold = false;
    return error;
  }

  /** Ends the connection if another node serves the slot by now: what waits there would wait for nothing. */
  follow(): void {
    const node = this.#cluster.ownerOf(this.#slot);
    if (this.#node === undefined || node === undefined || nodeText(node) === nodeText(this.#node)) return;
    this.#untold = true;
    if (this.#link !== undefined) this.#cluster.end(this.#link);
    [this.#node, this.#link] = [undefined, undefined];
  }

  reset(): void {
    this.#link?.reset();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#ended();
    await this.#link?.close();
  }
}

type Server = readonly [host: string | null, port: number];

/** Reads CLUSTER SLOTS: who serves each slot, and the addresses of all who are there, replicas included. */
function layoutIn(reply: Reply, asked: Node): { owners: (Node | undefined)[]; present: Set<string> } {
  const owners: (Node | undefined)[] = new Array(SLOTS);
  const present = new Set<string>();
  for (const [first, last, ...servers] of reply as readonly (readonly [number, number, ...Server[]])[]) {
    const nodes = servers.map(([host, port]) => ({ host: hostOr(host, asked), port }));
    owners.fill(nodes[0], first, last + 1);
    for (const node of nodes) present.add(nodeText(node));
  }
  return { owners, present };
}
