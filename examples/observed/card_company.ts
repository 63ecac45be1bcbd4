import { setTimeout as pause } from "node:timers/promises";
import { type Span, SpanKind, SpanStatusCode, trace } from "@opentelemetry/api";
import { PermanentError } from "@tidings/broker";
import { CardProcessor } from "../auction/card_processor.ts";
import type { PaymentStatus } from "../auction/events.ts";
import type { Charge } from "../auction/payment.ts";
import type { Tokenize } from "../auction/registration.ts";

/** What the card company does, by name. */
export const MODES = {
  usual: "answers fast; loses some answers, and refuses a few cards for good",
  down: "refuses every connection",
  slow: "takes 8 s for each answer",
  silent: "takes every call, and never answers",
} as const;
export type Mode = keyof typeof MODES;

/** Is this text a mode? */
export function isMode(text: string): text is Mode {
  return Object.hasOwn(MODES, text);
}

/** In milliseconds. The longest time that a timer can wait stands for an answer that never comes. */
const ANSWERS_AFTER = {
  usual: () => 20 + Math.random() * 40,
  down: () => 0,
  slow: () => 8_000,
  silent: () => 2 ** 31 - 1,
};
/** In the usual mode, by the number of the call. The first refusal comes soon, to be seen; the others are rare. */
const losesAnswer = (call: number): boolean => call % 8 === 0;
const refuses = (call: number): boolean => call % 200 === 10;

/** An external company that charges cards and sometimes fails. It knows nothing of events. */
export class CardCompany {
  #mode: Mode = "usual";
  /** Aborts when the mode changes. */
  #changed = new AbortController();
  #processor = new CardProcessor();
  #calls = 0;
  #signal: AbortSignal;

  /** @param signal Ends all calls that are under way. */
  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Changes what the company does from now on. Calls that wait for an answer fail. */
  become(mode: Mode): void {
    this.#mode = mode;
    this.#changed.abort(new Error("Cannot reach the card company: it closed the connection"));
    this.#changed = new AbortController();
  }

  readonly tokenize: Tokenize = (cardNumber) => this.#processor.tokenize(cardNumber);

  /** Charges inside a span of its own: the span of the handler, which calls this, is its parent. */
  readonly charge: Charge = (cardToken, amount, { idempotencyKey, signal }) =>
    trace.getTracer("auction").startActiveSpan("charge card", { kind: SpanKind.CLIENT }, async (span) => {
      try {
        const signals = [signal, this.#signal, this.#changed.signal];
        return await this.#charge(cardToken, amount, idempotencyKey, AbortSignal.any(signals));
      } catch (error) {
        fail(span, error);
        throw error;
      } finally {
        span.end();
      }
    });

  async #charge(cardToken: string, amount: number, key: string, signal: AbortSignal): Promise<PaymentStatus> {
    const [call, mode] = [++this.#calls, this.#mode];
    await wait(ANSWERS_AFTER[mode](), signal);
    if (mode === "down") throw new Error("Cannot reach the card company: connection refused");
    if (mode === "usual" && refuses(call)) {
      throw new PermanentError("Cannot charge the card: the company says that it is stolen");
    }
    const { status } = await this.#processor.charge(cardToken, amount, key);
    if (mode === "usual" && losesAnswer(call)) {
      throw new Error("Cannot reach the card company: connection lost before its answer");
    }
    return status;
  }
}

/** Waits for a time in milliseconds. Rejects with the signal's reason when it aborts. */
async function wait(time: number, signal: AbortSignal): Promise<void> {
  await pause(time, undefined, { signal }).catch(() => signal.throwIfAborted());
}

function fail(span: Span, error: unknown): void {
  if (error instanceof Error) span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
