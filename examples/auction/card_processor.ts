import type { PaymentStatus } from "./events.ts";

/** Test numbers, as card processors have them: the first is good, the others are always declined. */
export const testCards = {
  good: "4242 4242 4242 4242",
  declined: "4000 0000 0000 0002",
  insufficientFunds: "4000 0000 0000 9995",
} as const;

// Whoever has the key can find a number by trying them all: a real processor never lets go of its own. This one is
// written down here so that every process gives the same card the same token.
const DEMO_KEY = "for demonstration only";

/** What became of a charge. */
export interface Charged {
  status: PaymentStatus;
  /** Whether it was asked for before, and so nothing was done. */
  repeated: boolean;
}

/** Plays the outside company that knows cards. Not a service of the house: it has no part in its events. */
export class CardProcessor {
  /** By idempotency key. A real processor keeps these for days, and not in memory. */
  #charges = new Map<string, PaymentStatus>();
  #declined = Promise.all([testCards.declined, testCards.insufficientFunds].map((number) => this.tokenize(number)));

  /** Swaps a card number for its token. Errors never tell the number. */
  async tokenize(cardNumber: string): Promise<string> {
    const digits = cardNumber.replaceAll(" ", "");
    if (!/^\d{12,19}$/.test(digits)) throw new TypeError("Cannot use the card: its number is not 12 to 19 digits");
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const encoder = new TextEncoder();
    const key = await crypto.subtle.importKey("raw", encoder.encode(DEMO_KEY), algorithm, false, ["sign"]);
    const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(digits));
    return `tok_${new Uint8Array(mac).toHex().slice(0, 32)}`;
  }

  /** Charges a card, once for each idempotency key: asked again, it gives the same answer and moves no money. */
  async charge(cardToken: string, _amount: number, idempotencyKey: string): Promise<Charged> {
    const declined = (await this.#declined).includes(cardToken);
    const known = this.#charges.get(idempotencyKey);
    const status = known ?? (declined ? "declined" : "paid");
    this.#charges.set(idempotencyKey, status);
    return { status, repeated: known !== undefined };
  }
}
