import { type Node, nodeText } from "../_address.ts";
import { hostOr } from "../_reply_error.ts";
import type { Reply } from "../client.ts";
import { SLOTS } from "./_slots.ts";

/** The layout of a cluster, as one node describes it. */
export interface SlotMap {
  /** The primary of each slot. */
  readonly owners: (Node | undefined)[];
  /** Addresses of all nodes, replicas included. */
  readonly present: ReadonlySet<string>;
}

type Server = readonly [host: string | null, port: number];

/** Parses a reply to CLUSTER SLOTS. @param asked The node that replied. */
export function readSlotMap(reply: Reply, asked: Node): SlotMap {
  const owners: (Node | undefined)[] = new Array(SLOTS);
  const present = new Set<string>();
  for (const [first, last, ...servers] of reply as readonly (readonly [number, number, ...Server[]])[]) {
    const nodes = servers.map(([host, port]) => ({ host: hostOr(host, asked), port }));
    owners.fill(nodes[0], first, last + 1);
    for (const node of nodes) present.add(nodeText(node));
  }
  return { owners, present };
}
