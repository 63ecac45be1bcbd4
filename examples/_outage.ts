import { setTimeout as pause } from "node:timers/promises";
import { green, yellow } from "@std/fmt/colors";
import { StoreError } from "@tidings/broker";
import { say } from "./_columns.ts";

/** Prints once that the store cannot be reached, and repeats reads until it can be reached again. */
export class Outage {
  #signal: AbortSignal;
  #lost = false;

  constructor(signal: AbortSignal) {
    this.#signal = signal;
  }

  /** Reports a failure that the broker tries again by itself. */
  lost(error: unknown): void {
    if (this.#lost || this.#signal.aborted) return;
    this.#lost = true;
    const why = error instanceof Error ? error.message : String(error);
    say(yellow(`Cannot reach the broker's store: ${why}`), "  ");
    console.log(yellow("  Trying again until it is back. Ctrl-C ends the example."));
  }

  /** Reads, and tries again while the store cannot be reached. */
  async outlast<T>(read: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const found = await read();
        if (this.#lost) console.log(green("  The store is back."));
        this.#lost = false;
        return found;
      } catch (error) {
        if (!(error instanceof StoreError && (error.kind === "transient" || error.kind === "uncertain"))) throw error;
        this.lost(error);
        await pause(200, undefined, { signal: this.#signal });
      }
    }
  }
}
