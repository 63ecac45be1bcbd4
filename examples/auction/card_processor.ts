import type { PaymentStatus } from "./events.ts";

/** Card numbers for tests, as card processors offer them. The last two are always declined. */
export const testCards = {
  good: "4242 4242 4242 4242",
  declined: "4000 0000 0000 0002",
  insufficientFunds: "4000 0000 0000 9995",
} as const;

// All processes need the same key, so that a card has the same token in each. A real processor keeps its key secret,
// because the key allows finding a card number by trying all numbers.
const DEMO_KEY = "for demonstration only";

/** The result of a charge. */
export interface Charged {
  status: PaymentStatus;
  /** Whether an earlier call made this charge, so that this call moved no money. */
  repeated: boolean;
}

/** Simulates the external company that charges cards. It knows nothing of events. */
export class CardProcessor {
  /** Results by idempotency key. A real processor stores them for days. */
  #charges = new Map<string, PaymentStatus>();
  /** Tokens of declined cards. */
  #declined: Promise<string[]> | undefined;

  /** Returns the token of a card number. Errors never contain the number. */
  async tokenize(cardNumber: string): Promise<string> {
    const digits = cardNumber.replaceAll(" ", "");
    if (!/^\d{12,19}$/.test(digits)) {
      throw new TypeError("Cannot use the card: its number does not have 12 to 19 digits");
    }
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const encoder = new TextEncoder();
    const key = await crypto.subtle.importKey("raw", encoder.encode(DEMO_KEY), algorithm, false, ["sign"]);
    const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(digits));
    return `tok_${new Uint8Array(mac).toHex().slice(0, 32)}`;
  }

  /** Charges a card once for each idempotency key. A repeated call returns the same result and moves no money. */
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
