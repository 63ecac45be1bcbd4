import { type Node, nodeText } from "../connection/_address.ts";

/** Where nodes are to be reached that call themselves something else, by that address. */
export type AddressMap = Readonly<Record<string, Node>> | ((address: string) => Node | null | undefined);

/** Where a node is to be reached. */
export function mapped(node: Node, map: AddressMap | undefined): Node {
  const address = nodeText(node);
  return (typeof map === "function" ? map(address) : map?.[address]) ?? node;
}
