import { StoreError } from "../../../store/mod.ts";
import { type Node, nodeText } from "../_address.ts";
import { redirectionOf } from "../_reply_error.ts";
import { closedError, type Link } from "../_link.ts";
import type { OwnRoute, Pinned } from "../_topology.ts";
import type { Reply } from "../client.ts";
import type { ClusterNodes } from "./_nodes.ts";

/** A route to the node that serves a slot with a connection of its own, which ends when another node serves the slot. */
export class OwnSlotRoute implements OwnRoute {
  #nodes: ClusterNodes;
  #slot: number;
  #onClose: () => void;
  #node: Node | undefined;
  #link: Link | undefined;
  /** {@linkcode follow} ended the connection, and no command has been rejected for that yet. */
  #interrupted = false;
  #closed = false;

  constructor(nodes: ClusterNodes, slot: number, onClose: () => void) {
    this.#nodes = nodes;
    this.#slot = slot;
    this.#onClose = onClose;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    const { node, link } = await this.#connection();
    return await this.#sendBy(link, node, command, timeout);
  }

  async pin(): Promise<Pinned> {
    const { node, link } = await this.#connection();
    const pinned = await link.pin().catch((error) => {
      throw this.#reported(this.#nodes.noted(error, node));
    });
    return { send: (command, timeout) => this.#sendBy(pinned, node, command, timeout) };
  }

  async #connection(): Promise<{ readonly node: Node; readonly link: Link }> {
    const node = this.#nodes.ownerOf(this.#slot) ?? await this.#nodes.find(this.#slot);
    if (this.#closed) throw closedError();
    this.follow();
    // The caller knows the connection's CLIENT ID. One error tells it that the next connection has another id.
    if (this.#interrupted) {
      throw this.#reported(
        new StoreError("transient", "Cannot use Redis now: the slot of the stream moved to another node"),
      );
    }
    this.#node ??= node;
    this.#link ??= this.#nodes.newLink(this.#node);
    return { node: this.#node, link: this.#link };
  }

  async #sendBy(link: Pinned, node: Node, command: readonly string[], timeout?: number): Promise<Reply> {
    try {
      return await link.send(command, timeout);
    } catch (error) {
      // Redirections are not followed: the caller must learn that its connection changes.
      const to = redirectionOf(error, node);
      if (to !== undefined && !to.once) this.#nodes.moved(this.#slot, to.node);
      throw this.#reported(this.#nodes.noted(error, node));
    }
  }

  #reported(error: unknown): unknown {
    this.#interrupted = false;
    return error;
  }

  /** Ends the connection if another node serves the slot now. A blocked read on the old node would receive no entries. */
  follow(): void {
    const node = this.#nodes.ownerOf(this.#slot);
    if (this.#node === undefined || node === undefined || nodeText(node) === nodeText(this.#node)) return;
    this.#interrupted = true;
    if (this.#link !== undefined) this.#nodes.end(this.#link);
    [this.#node, this.#link] = [undefined, undefined];
  }

  reset(): void {
    this.#link?.reset();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#onClose();
    await this.#link?.close();
  }
}
