import { green } from "@std/fmt/colors";
import { CardProcessor } from "./auction/card_processor.ts";
import type { SendMail } from "./auction/notification.ts";
import type { Charge } from "./auction/payment.ts";
import type { Tokenize } from "./auction/registration.ts";
import type { Journal } from "./_journal.ts";

/** The external card processor and mail service. They know nothing of events. */
export class Outside {
  #journal: Journal;
  #processor = new CardProcessor();
  #losesAnswer = false;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  /** Makes the connection fail after the next charge, before its answer arrives. */
  loseNextAnswer(): void {
    this.#losesAnswer = true;
  }

  readonly tokenize: Tokenize = (cardNumber) => this.#processor.tokenize(cardNumber);

  readonly charge: Charge = async (cardToken, amount, { idempotencyKey }) => {
    const { status, repeated } = await this.#processor.charge(cardToken, amount, idempotencyKey);
    const done = status === "declined" ? "declined" : repeated ? "was charged before, nothing more taken" : "charged";
    this.#journal.note(idempotencyKey, "payment", `card ${done}`);
    if (this.#losesAnswer) {
      this.#losesAnswer = false;
      throw new Error("Cannot reach the card processor: connection lost before its answer");
    }
    return status;
  };

  readonly sendMail: SendMail = (bidderId, text, { idempotencyKey }) => {
    this.#journal.note(idempotencyKey, "notification", `mail to ${bidderId}: ${green(text)}`);
    return Promise.resolve();
  };
}
