import type { Node } from "../_address.ts";
import { redirectionOf } from "../_reply_error.ts";
import type { Route } from "../_topology.ts";
import type { Reply } from "../client.ts";
import type { ClusterNodes } from "./_nodes.ts";

// How many redirections a command follows. A longer chain means that the nodes redirect in a circle.
const MOST_REDIRECTIONS = 5;

/** The shared route to the node that serves a slot. */
export class SlotRoute implements Route {
  #nodes: ClusterNodes;
  #slot: number;

  constructor(nodes: ClusterNodes, slot: number) {
    this.#nodes = nodes;
    this.#slot = slot;
  }

  async send(command: readonly string[], timeout?: number): Promise<Reply> {
    const nodes = this.#nodes;
    let once: Node | undefined;
    for (let redirections = 0;; redirections++) {
      // No await while the node is known, so that commands are sent in the order of the calls.
      const node = once ?? nodes.ownerOf(this.#slot) ?? await nodes.find(this.#slot);
      try {
        const link = nodes.link(node);
        if (once === undefined) return await link.send(command, timeout);
        // Sent without an await in between: ASKING applies only to the next command of the connection.
        const [, reply] = await Promise.all([link.send(["ASKING"]), link.send(command, timeout)]);
        return reply;
      } catch (error) {
        const to = redirectionOf(error, node);
        if (to === undefined || redirections === MOST_REDIRECTIONS) throw nodes.noted(error, node);
        once = to.once ? to.node : undefined;
        if (!to.once) nodes.moved(this.#slot, to.node);
      }
    }
  }

  reset(): void {
    const node = this.#nodes.ownerOf(this.#slot);
    if (node !== undefined) this.#nodes.reset(node);
  }

  async close(): Promise<void> {}
}
