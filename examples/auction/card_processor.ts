import type { PaymentStatus } from "./events.ts";

/** Test numbers, as card processors have them: the first is good, the others are always declined. */
export const testCards = {
  good: "4242 4242 4242 4242",
  declined: "4000 0000 0000 0002",
  insufficientFunds: "4000 0000 0000 9995",
} as const;

// With the key, card numbers can be found by trying them all: a real processor never shows its key. This one is in the
// source so that every process gives the same card the same token.
const DEMO_KEY = "for demonstration only";

/** The result of a charge. */
export interface Charged {
  status: PaymentStatus;
  /** Whether the same charge was made before, so that no money moved now. */
  repeated: boolean;
}

/** Plays the outside company that knows cards. It is no service of the auction house and handles no events. */
export class CardProcessor {
  /** Results by idempotency key. A real processor keeps them for days, and not in memory. */
  #charges = new Map<string, PaymentStatus>();
  /** Tokens of declined cards. */
  #declined: Promise<string[]> | undefined;

  /** Swaps a card number for its token. Errors never contain the number. */
  async tokenize(cardNumber: string): Promise<string> {
    const digits = cardNumber.replaceAll(" ", "");
    if (!/^\d{12,19}$/.test(digits)) throw new TypeError("Cannot use the card: its number is not 12 to 19 digits");
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const encoder = new TextEncoder();
    const key = await crypto.subtle.importKey("raw", encoder.encode(DEMO_KEY), algorithm, false, ["sign"]);
    const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(digits));
    return `tok_${new Uint8Array(mac).toHex().slice(0, 32)}`;
  }

  /** Charges a card, once for each idempotency key: a repeated call gives the same result and moves no money. */
  async charge(cardToken: string, _amount: number, idempotencyKey: string): Promise<Charged> {
    const numbers = [testCards.declined, testCards.insufficientFunds];
    this.#declined ??= Promise.all(numbers.map((number) => this.tokenize(number)));
    const declined = (await this.#declined).includes(cardToken);
    const known = this.#charges.get(idempotencyKey);
    const status = known ?? (declined ? "declined" : "paid");
    this.#charges.set(idempotencyKey, status);
    return { status, repeated: known !== undefined };
  }
}
