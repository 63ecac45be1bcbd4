import { type Node, nodeText } from "../connection/_address.ts";

/** Addresses to connect to, by the address that a node gives itself; for nodes behind NAT. */
export type AddressMap = Readonly<Record<string, Node>> | ((address: string) => Node | null | undefined);

/** The address to connect to for a node. */
export function mapped(node: Node, map: AddressMap | undefined): Node {
  const address = nodeText(node);
  return (typeof map === "function" ? map(address) : map?.[address]) ?? node;
}
