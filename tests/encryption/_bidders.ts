import { defineEvent } from "@tidings/broker";
import type { Shredded } from "@tidings/broker/encryption";

/** What several processes publish and read. */
export class BidderRegistered extends defineEvent("BidderRegistered", { sensitive: ["email"], encrypt: true })<
  { n: number; email: string | Shredded }
> {}

export const SUBJECTS = ["ada", "bob", "eve"] as const;

/** The master key of a text in hexadecimal. */
export function masterKeyOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));
}
