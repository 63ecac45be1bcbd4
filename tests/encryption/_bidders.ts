import { defineEvent } from "@tidings/broker";
import type { Shredded } from "@tidings/broker/encryption";

/** The event that several processes publish and read. */
export class BidderRegistered extends defineEvent("BidderRegistered", { sensitive: ["email"], encrypt: true })<
  { n: number; email: string | Shredded }
> {}

export const SUBJECTS = ["ada", "bob", "eve"] as const;

/** A master key from hexadecimal text. */
export function masterKeyOf(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(text.match(/../g)!, (byte) => parseInt(byte, 16));
}
