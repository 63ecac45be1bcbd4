import { reasonOf } from "../../../events/_check.ts";

// The most characters of an error that the reason of a pause shows.
const MOST_CHARACTERS = 500;

/** When consecutive failures pause a group. */
export interface BreakerOptions {
  /** After how many failed attempts in a row. */
  readonly failures: number;
  /** For how long, in milliseconds. */
  readonly for: number;
  /** Pauses the group. Never rejects. */
  pause(reason: string, duration: number): Promise<void>;
}

/** Pauses a group when so many attempts of a consumer have failed in a row. */
export class Breaker {
  #options: BreakerOptions;
  #failures = 0;
  #pausing = false;

  constructor(options: BreakerOptions) {
    this.#options = options;
  }

  /** An attempt has succeeded. */
  succeeded(): void {
    this.#failures = 0;
  }

  /** A pause is over: the first attempt after it decides. */
  probe(): void {
    this.#failures = this.#options.failures - 1;
  }

  /** An attempt has failed. */
  failed(error: unknown): void {
    const { failures, for: duration, pause } = this.#options;
    if (++this.#failures < failures || this.#pausing) return;
    this.#pausing = true;
    const attempts = failures === 1 ? "1 attempt has failed" : `${failures} attempts in a row have failed`;
    void pause(`${attempts}: ${reasonOf(error)}`.slice(0, MOST_CHARACTERS), duration).finally(() => {
      this.#pausing = false;
      this.#failures = 0;
    });
  }
}
