import { type Node, nodeText } from "../connection/_address.ts";

/** Maps the address that a node reports to the address to connect to, for nodes behind NAT. */
export type AddressMap = Readonly<Record<string, Node>> | ((address: string) => Node | null | undefined);

/** The address to connect to for a node that reports the address `node`. */
export function mapped(node: Node, map: AddressMap | undefined): Node {
  const address = nodeText(node);
  return (typeof map === "function" ? map(address) : map?.[address]) ?? node;
}
